package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"
)

// sampler makes JSON objects of a Go type the way people write them: some
// fields, odd spellings, now and then null or an unknown field. It prefers the
// fields that it has used least, so that a thousand samples reach all of them.
type sampler struct {
	random *rand.Rand
	used   map[string]int
	weight map[reflect.Type]int
	// budget is how many more values the current sample may hold.
	budget int
	// mistyped lets a value now and then be of a wrong kind.
	mistyped bool
}

func newSampler(seed int64) *sampler {
	return &sampler{
		random: rand.New(rand.NewSource(seed)),
		used:   map[string]int{},
		weight: map[reflect.Type]int{},
	}
}

func (s *sampler) pick(words []string) string { return words[s.random.Intn(len(words))] }

func (s *sampler) rarely(oneIn int) bool { return s.random.Intn(oneIn) == 0 }

// leaves counts the plain values that a type can hold.
func (s *sampler) leaves(t reflect.Type) int {
	element := structIn(t)
	if element == nil {
		return 1
	}
	if known, ok := s.weight[element]; ok {
		return known
	}
	total := 1
	for _, field := range fieldsOf(element) {
		total += s.leaves(field.goType)
	}
	s.weight[element] = total
	return total
}

func (s *sampler) object(t reflect.Type, always ...string) map[string]any {
	object := map[string]any{}
	fields := fieldsOf(t)
	for _, name := range always {
		for _, field := range fields {
			if field.Name == name {
				object[name] = s.field(t, field)
			}
		}
	}
	for range 1 + s.random.Intn(4) {
		if s.budget <= 0 || s.rarely(15) {
			break
		}
		field := s.leastUsed(t, fields)
		object[field.Name] = s.field(t, field)
	}
	if s.rarely(25) {
		object["notAField"] = map[string]any{"a": 1}
	}
	return object
}

func (s *sampler) leastUsed(t reflect.Type, fields []Field) Field {
	if s.rarely(3) {
		return fields[s.random.Intn(len(fields))]
	}
	var best []Field
	lowest := 0.0
	for _, field := range fields {
		share := float64(s.used[t.Name()+"."+field.Name]) / float64(s.leaves(field.goType))
		if len(best) == 0 || share < lowest {
			best, lowest = nil, share
		}
		if share == lowest {
			best = append(best, field)
		}
	}
	return best[s.random.Intn(len(best))]
}

func (s *sampler) field(t reflect.Type, field Field) any {
	s.used[t.Name()+"."+field.Name]++
	return s.value(field.goType)
}

func (s *sampler) value(t reflect.Type) any {
	s.budget--
	if s.rarely(30) {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if name, ok := plain[t]; ok {
		return s.plain(name)
	}
	if s.mistyped && s.rarely(3) {
		return s.wrong(t)
	}
	switch t.Kind() {
	case reflect.String:
		return s.text()
	case reflect.Bool:
		return s.rarely(2)
	case reflect.Int32, reflect.Int64:
		return json.RawMessage(s.number(t.Kind()))
	case reflect.Struct:
		return s.object(t)
	case reflect.Slice:
		list := []any{}
		for range s.random.Intn(10) / 3 {
			list = append(list, s.value(t.Elem()))
		}
		return list
	case reflect.Map:
		object := map[string]any{}
		for range s.random.Intn(4) {
			object[s.key(t)] = s.value(t.Elem())
		}
		return object
	}
	panic(fmt.Sprintf("no samples of %v", t))
}

// wrong returns a value that no Go decoder takes for t. Types that decode
// themselves are left out: there encoding/json stops and loses what follows.
func (s *sampler) wrong(t reflect.Type) any {
	switch t.Kind() {
	case reflect.String:
		return []any{1, true, []any{"x"}, map[string]any{}}[s.random.Intn(4)]
	case reflect.Bool:
		return []any{"true", 1, []any{}}[s.random.Intn(3)]
	case reflect.Int32, reflect.Int64:
		return []any{"7", true, json.RawMessage("1.5"), map[string]any{}}[s.random.Intn(4)]
	case reflect.Slice:
		return []any{"x", 1, map[string]any{"name": "x"}}[s.random.Intn(3)]
	default:
		return []any{"x", false, []any{"x"}}[s.random.Intn(3)]
	}
}

var texts = []string{
	"", "a", "app", "nginx:1.27", "Always", "/tmp/x", "a b", "<b>&\"q\"\\", "é☃", "😀", "\u2028|\u2029",
	"\u007f", "tab\tline\nend\r", "\b\f\u0001\u001f", "x=y&z>0", "<", "&&", "'", "\u00a0", "0", "1e3", "null",
}

func (s *sampler) text() string { return s.pick(texts) }

var keys = []string{"app", "b", "a", "A", "a.b/c", "é", "z<", "version", "", "10", "9"}

var resources = []string{"cpu", "memory", "ephemeral-storage", "nvidia.com/gpu", "hugepages-2Mi"}

func (s *sampler) key(t reflect.Type) string {
	if t.Elem() == reflect.TypeFor[resource.Quantity]() {
		return s.pick(resources)
	}
	return s.pick(keys)
}

func (s *sampler) number(kind reflect.Kind) string {
	numbers := []string{"0", "1", "-1", "80", "300", "2147483647", "-2147483648", "80.0", "1e2", "0.0", "8080"}
	if !s.mistyped {
		// Out of range for an int32: the converter of Kubernetes wraps around.
		numbers = append(numbers, "4294967299", "2147483648")
	}
	if kind == reflect.Int64 {
		numbers = append(numbers, "9007199254740993", "-9223372036854775808")
	}
	return s.pick(numbers)
}

func (s *sampler) plain(name string) any {
	switch name {
	case "Quantity":
		return s.quantity()
	case "Time":
		return s.pick([]string{
			"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678Z", "2026-01-02T00:30:00+02:00",
			"1999-12-31T23:59:59-11:30", "0001-01-01T00:00:00Z",
		})
	case "IntOrString":
		return []any{80, "http", "25%", "", 0, json.RawMessage("80.0"), "80", "<é>"}[s.random.Intn(8)]
	case "Raw":
		return map[string]any{"z": 1, "a": json.RawMessage("[1.50,1e21,1e-7,-0.0,12345678901234567890,true,null,\"<&\"]"), "é": map[string]any{}}
	}
	panic("no samples of " + name)
}

var quantities = []string{
	"0", "1", "2", "5m", "16Mi", "0.5", "1.5", "100m", "1000m", "1500m", "1024Mi", "1Gi", "1.5Gi", "512Ki",
	"0.001", "0.0005", "0.1m", "1u", "1n", "0.1n", "12e6", "1e3", "1E3", "1E", "5e-3", "1e-10", "1.500", "+5", "-5", "-0.5", "007",
	"1000Ki", "1.953125Ki", "2000", "1000", "1k", "1M", "1000k", "1.2345678901", "128974848", "129e6", "129M", "123Mi",
	"9223372036854775807", "9223372036854775808", "1Ei", "7Ei", "8Ei", "16Ei", "1000E", "0.0Mi", "0Ki", "00", ".5", "5.", ".",
	"0.5Ki", "0.0001Ki", "1025Ki", "-1Gi", "-0.5Gi", "123456789012345678901234567890", "100000000000000000000m", " 5 ",
	"1.1Mi", "1023", "1024", "1024Ki", "1048576", "1e0", "1e1", "1e2", "0e3", "10e-1", "1.0", "1.00Gi", "3e9", "0.25", "250m",
}

var suffixes = []string{"", "", "m", "u", "n", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E6", "e-3", "e+2", "e7"}

func (s *sampler) quantity() any {
	if s.rarely(8) {
		numbers := []string{"0", "1", "0.001", "0.5", "1.0", "1e3", "1e-7", "2000", "12345678901", "-1", "1e21", "1.5e300", "0.1", "100.25"}
		return json.RawMessage(s.pick(numbers))
	}
	if s.rarely(2) {
		return s.pick(quantities)
	}
	digits := ""
	for range 1 + s.random.Intn(s.pickLength()) {
		digits += string(rune('0' + s.random.Intn(10)))
	}
	if s.rarely(3) {
		at := s.random.Intn(len(digits) + 1)
		digits = digits[:at] + "." + digits[at:]
	}
	if s.rarely(10) {
		digits = "-" + digits
	}
	if s.rarely(3) {
		digits += "000"
	}
	return digits + s.pick(suffixes)
}

// pickLength makes most numbers short and a few longer than an int64.
func (s *sampler) pickLength() int {
	if s.rarely(6) {
		return 30
	}
	return 5
}
