// Command oracle asks the Go types of Kubernetes and Argo Rollouts what the
// engine has to know to compute the same hashes without Go:
//
//	oracle table             the fields of a pod template and of a canary step, as JSON
//	oracle fields NEWER      the same as a Rust table; NEWER is the table of a newer Kubernetes
//	oracle vectors           examples with the hashes that Argo Rollouts gives them
//
// See README.md beside this file for how the committed files are made.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "table":
		return json.NewEncoder(os.Stdout).Encode(buildTable())
	case len(arguments) == 2 && arguments[0] == "fields":
		return printRust(os.Stdout, arguments[1])
	case len(arguments) == 1 && arguments[0] == "vectors":
		return printVectors(os.Stdout)
	}
	return fmt.Errorf("usage: oracle table | fields NEWER | vectors")
}
