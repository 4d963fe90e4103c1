package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Field is one member of a JSON object, in the order in which encoding/json
// writes it.
type Field struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Type is the struct of a "struct" field, or of the elements of a list.
	Type    string `json:"type,omitempty"`
	Pointer bool   `json:"pointer,omitempty"`
	// Omit is whether encoding/json leaves the field out when it is empty.
	// omitempty means nothing on a struct, so it is not set there.
	Omit bool `json:"omit,omitempty"`

	goType reflect.Type
}

// Table maps the name of a struct to its fields.
type Table map[string][]Field

var roots = []reflect.Type{
	reflect.TypeFor[corev1.PodTemplateSpec](),
	reflect.TypeFor[v1alpha1.CanaryStep](),
}

// plain are the types that write themselves, and how the engine calls them.
var plain = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():  "Quantity",
	reflect.TypeFor[metav1.Time]():        "Time",
	reflect.TypeFor[intstr.IntOrString](): "IntOrString",
	reflect.TypeFor[metav1.FieldsV1]():    "Raw",
	reflect.TypeFor[json.RawMessage]():    "Raw",
}

var marshaler = reflect.TypeFor[json.Marshaler]()

func buildTable() Table {
	table := Table{}
	owner := map[string]reflect.Type{}
	var visit func(reflect.Type)
	visit = func(t reflect.Type) {
		if seen, ok := owner[t.Name()]; ok {
			if seen != t {
				panic(fmt.Sprintf("two structs are called %s: %v and %v", t.Name(), seen, t))
			}
			return
		}
		owner[t.Name()] = t
		fields := fieldsOf(t)
		table[t.Name()] = fields
		for _, field := range fields {
			if element := structIn(field.goType); element != nil {
				visit(element)
			}
		}
	}
	for _, root := range roots {
		visit(root)
	}
	return table
}

// fieldsOf lists the JSON members of a struct; embedded structs are written in
// the place where they are embedded.
func fieldsOf(t reflect.Type) []Field {
	var fields []Field
	names := map[string]bool{}
	for i := range t.NumField() {
		member := t.Field(i)
		name, options, _ := strings.Cut(member.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		var found []Field
		if member.Anonymous && name == "" {
			found = fieldsOf(member.Type)
		} else {
			if name == "" {
				panic(fmt.Sprintf("%v.%s has no JSON name", t, member.Name))
			}
			found = []Field{newField(name, member.Type, options)}
		}
		for _, field := range found {
			if names[field.Name] {
				panic(fmt.Sprintf("%v has two fields called %s", t, field.Name))
			}
			names[field.Name] = true
			fields = append(fields, field)
		}
	}
	return fields
}

func newField(name string, t reflect.Type, options string) Field {
	field := Field{Name: name, goType: t}
	if t.Kind() == reflect.Pointer {
		field.Pointer = true
		t = t.Elem()
	}
	field.Kind = kindOf(t)
	if element := structIn(t); element != nil {
		field.Type = element.Name()
	}
	for _, option := range strings.Split(options, ",") {
		switch option {
		case "omitempty":
			field.Omit = field.Omit || field.Pointer || canBeEmpty(t)
		case "omitzero":
			if t != reflect.TypeFor[metav1.Time]() && !field.Pointer && !canBeEmpty(t) {
				panic(fmt.Sprintf("the engine does not know the zero of %v (%s)", t, name))
			}
			field.Omit = true
		case "", "inline":
		default:
			panic(fmt.Sprintf("unknown JSON option %q on %s", option, name))
		}
	}
	return field
}

func kindOf(t reflect.Type) string {
	if name, ok := plain[t]; ok {
		return name
	}
	if t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) {
		panic(fmt.Sprintf("%v writes its own JSON, and the engine does not know how", t))
	}
	switch t.Kind() {
	case reflect.String:
		return "Text"
	case reflect.Bool:
		return "Flag"
	case reflect.Int32:
		return "Int32"
	case reflect.Int64:
		return "Int64"
	case reflect.Struct:
		return "Struct"
	case reflect.Slice:
		return "ListOf" + kindOf(t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			panic(fmt.Sprintf("%v has keys that are not strings", t))
		}
		return "MapOf" + kindOf(t.Elem())
	}
	panic(fmt.Sprintf("the engine does not know the kind of %v", t))
}

func canBeEmpty(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Slice, reflect.Map:
		return true
	}
	return false
}

// structIn returns the struct that a field holds, alone or as elements.
func structIn(t reflect.Type) reflect.Type {
	if _, ok := plain[t]; ok {
		return nil
	}
	switch t.Kind() {
	case reflect.Struct:
		return t
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return structIn(t.Elem())
	}
	return nil
}

func sortedNames(table Table) []string {
	var names []string
	for name := range table {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
