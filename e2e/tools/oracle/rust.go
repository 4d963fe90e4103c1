package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"unicode"
)

const newerMark = "newer "

// printRust writes the table as Rust. Fields that only the newer table has come
// last in their struct and are marked, so that a template without them keeps
// the JSON it has today.
func printRust(out io.Writer, newerPath string) error {
	text, err := os.ReadFile(newerPath)
	if err != nil {
		return err
	}
	var newer Table
	if err := json.Unmarshal(text, &newer); err != nil {
		return fmt.Errorf("%s: %w", newerPath, err)
	}
	table := buildTable()
	known := map[string]bool{}
	for _, name := range sortedNames(table) {
		known[name] = true
	}
	for name, fields := range newer {
		table[name] = append(table[name], missing(table[name], fields, known[name])...)
	}

	w := bufio.NewWriter(out)
	fmt.Fprintf(w, `//! The JSON fields of a pod template and of a canary step, in Go's order.
//!
//! Generated from k8s.io/api %s and argo-rollouts %s; the fields marked
//! "newer" are those of a later Kubernetes. To make it again, see
//! e2e/tools/oracle/README.md. Never edited by hand.

use super::fields::Field;
use super::fields::Kind::*;

`, version("k8s.io/api"), version("github.com/argoproj/argo-rollouts"))
	for _, name := range sortedNames(table) {
		visibility := ""
		for _, root := range roots {
			if root.Name() == name {
				visibility = "pub(super) "
			}
		}
		fmt.Fprintf(w, "%sconst %s: &[Field] = &[\n", visibility, screaming(name))
		for _, field := range table[name] {
			fmt.Fprintf(w, "    Field::new(%q, %s)%s\n", field.Name, rustKind(field), rustMarks(field))
		}
		fmt.Fprint(w, "];\n")
	}
	return w.Flush()
}

// missing returns the newer fields that the older struct lacks. A struct that is
// new as a whole is only reached through such a field, and keeps its own rules.
func missing(older, newer []Field, structIsOld bool) []Field {
	names := map[string]bool{}
	for _, field := range older {
		names[field.Name] = true
	}
	var fields []Field
	for _, field := range newer {
		if names[field.Name] {
			continue
		}
		if structIsOld {
			field.Kind = newerMark + field.Kind
			// A struct without pointer would be written even when absent.
			field.Pointer = field.Pointer || !field.Omit
			field.Omit = true
		}
		fields = append(fields, field)
	}
	return fields
}

func rustKind(field Field) string {
	kind := strings.TrimPrefix(field.Kind, newerMark)
	wrap := "%s"
	for _, container := range []string{"List", "Map"} {
		if element, ok := strings.CutPrefix(kind, container+"Of"); ok {
			kind, wrap = element, container+"(&%s)"
		}
	}
	if kind == "Struct" {
		kind = "Struct(" + screaming(field.Type) + ")"
	}
	return fmt.Sprintf(wrap, kind)
}

func rustMarks(field Field) string {
	marks := ""
	if field.Pointer {
		marks += ".pointer()"
	}
	if field.Omit {
		marks += ".omit()"
	}
	marks += ","
	if strings.HasPrefix(field.Kind, newerMark) {
		marks += " // newer"
	}
	return marks
}

// screaming turns HTTPGetAction into HTTP_GET_ACTION.
func screaming(name string) string {
	var out strings.Builder
	letters := []rune(name)
	for i, letter := range letters {
		if i > 0 && unicode.IsUpper(letter) {
			afterLower := !unicode.IsUpper(letters[i-1])
			beforeLower := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if afterLower || beforeLower {
				out.WriteByte('_')
			}
		}
		out.WriteRune(unicode.ToUpper(letter))
	}
	return out.String()
}

func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}
