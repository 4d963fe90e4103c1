// Command behaviour asks Argo Rollouts' own functions what they would do, and
// writes what they answered into the source tree SRC, for the tests there to
// compare with:
//
//	behaviour SRC
//
// It is a program of its own because it needs far more of Kubernetes than the
// hashes do. See README.md one directory up.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"

	"github.com/sirupsen/logrus"
)

// topics are the files below SRC and what is in them.
var topics = []struct {
	file  string
	print func(io.Writer) error
}{
	{"engine/rollout/upstream/counts.json", printCounts},
	{"engine/rollout/upstream/phases.json", printPhases},
	{"engine/analysis/upstream/runs.json", printRuns},
	{"engine/analysis/upstream/verdicts.json", printVerdicts},
}

func main() {
	logrus.SetOutput(io.Discard)
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: behaviour SRC")
		os.Exit(1)
	}
	for _, topic := range topics {
		if err := write(filepath.Join(os.Args[1], topic.file), topic.print); err != nil {
			fmt.Fprintln(os.Stderr, "behaviour:", err)
			os.Exit(1)
		}
	}
}

func write(path string, print func(io.Writer) error) error {
	var text bytes.Buffer
	if err := print(&text); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// section is one named list of a vector file, one row a line.
type section struct {
	name string
	rows []any
}

func printSections(out io.Writer, sections ...section) error {
	w := bufio.NewWriter(out)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for i, section := range sections {
		fmt.Fprintf(w, "%s%q: [\n", []string{"{", ","}[min(i, 1)], section.name)
		for j, row := range section.rows {
			if j > 0 {
				fmt.Fprint(w, ",")
			}
			if err := encoder.Encode(row); err != nil {
				return err
			}
		}
		fmt.Fprint(w, "]")
	}
	fmt.Fprintln(w, "}")
	return w.Flush()
}

// dice makes the same choices in every run.
type dice struct{ *rand.Rand }

func newDice(seed int64) dice { return dice{rand.New(rand.NewSource(seed))} }

func (d dice) rarely(oneIn int) bool { return d.Intn(oneIn) == 0 }

func pick[T any](d dice, from ...T) T { return from[d.Intn(len(from))] }
