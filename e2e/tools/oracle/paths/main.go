// Command paths asks Kubernetes' JSONPath what it finds, and writes the answers
// to the file that it is given: path, document, and either the first value or
// the error. Values whose order Go leaves to chance are not asked for.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/client-go/util/jsonpath"
)

const shop = `{"status":"ok","empty":"","nothing":null,"ratio":0.97,"whole":3,"large":1e21,"tiny":1e-7,"yes":true,` +
	`"a.b":"dotted","html":"<a&b>","data":{"ok":true,"deep":{"x":1.50}},"items":[{"name":"one","x":1.0,"tags":["p","q"]},` +
	`{"name":"two","x":2.5,"up":true},{"name":"three","x":3.0,"up":false,"note":"it's (fine)"}],"none":[],"matrix":[[1,2],[3,4]]}`

var documents = []string{shop, `[1,2,3]`, `"text"`, `5`, `true`, `[]`, `{}`, `[[],[7]]`, `[null,{"a":null}]`}

var paths = []string{
	"{$}", "{}", "{.}", "", "text", "text {.status}", "{.status}", "{$.status}", "{@.status}", "{ .status }", "{.status", ".status", "{..}",
	"{.empty}", "{.nothing}", "{.nothing.x}", "{.ratio}", "{.whole}", "{.large}", "{.tiny}", "{.yes}", "{.html}", "{.missing}",
	"{.data}", "{.data.ok}", "{.data.deep.x}", "{.data.deep}", "{.data.none.x}", "{['status']}", "{.data['ok']}", `{.a\.b}`, `{['a\.b']}`,
	"{['a.b']}", "{.items[0].name}", "{.items[1].x}", "{.items[-1].name}", "{.items[-3].name}", "{.items[-4].name}", "{.items[3].name}",
	"{.items[5]}", "{.items[*].name}", "{.items[*].up}", "{.items[1:].name}", "{.items[:2].name}", "{.items[0:3:2].name}", "{.items[::2].x}",
	"{.items[2:1].name}", "{.items[1:1].name}", "{.items[0:9].name}", "{.items[-2:].name}", "{.items[::0].name}", "{.items[::-1].name}",
	"{.items[0,2].name}", "{.items[0, 2].name}", "{.items[0]['name','x']}", "{['status','ratio']}", "{.items[a]}", "{.items[-]}", "{.items[0}",
	"{.none}", "{.none[*]}", "{.none[0]}", "{.none[*].x}", "{.status[0]}", "{.data[0]}", "{.matrix[1][0]}", "{.matrix[*][1]}", "{.matrix[*][*]}",
	"{.items[?(@.name=='two')].x}", `{.items[?(@.name=="two")].x}`, "{.items[?(@.x>2.0)].name}", "{.items[?(@.x>=3.0)].name}",
	"{.items[?(@.x<1.5)].name}", "{.items[?(@.x<=1.0)].name}", "{.items[?(@.x!=1.0)].name}", "{.items[?(@.up==true)].name}",
	"{.items[?(@.up==false)].name}", "{.items[?(@.up)].name}", "{.items[?(@.note)].name}", "{.items[?(@.name==@.name)].name}",
	`{.items[?(@.note=="it's (fine)")].name}`, "{.items[?(@.name=='none')].x}", "{.items[?(@.x=='a')].name}", "{.items[?(@.name>'one')].name}",
	"{.items[?(@.up>true)].name}", "{.items[?(@.tags==1)].name}", "{.items[?(@.tags)].name}", "{.items[?(@.x===1.0)].name}", "{.items[?(@.x==3)].name}", "{.items[?(@.x>2)].name}", "{.data[?(@.ok)]}",
	"{.items[?(@.name=='two')}", "{.items[?(@.name=='two']}", "{.items[?(@.tags[*]=='p')].name}", "{.items[?(@.x==1.0)]['name']}",
	"{..name}", "{..deep.x}", "{..missing}", "{.items..name}", "{.data..x}", "{....x}", "{.items.*}", "{.items[0].tags.*}",
	"{range .items[*]}{.name}{end}", "{range .items[*]}{.x} {end}", "{range .items[?(@.up)]}{.name}{end}", "{range .none[*]}{.x}{end}{.ratio}",
	"{range .items[*]}{.name}{end}{.ratio}", "{.ratio}{range .items[*]}{.name}{end}", "{range .items[*]}{.missing}{end}", "{range .items[*]}{.name}",
	"{range .matrix[*]}{range [*]}{@}{end}{end}", "{range .none[*]}{.name}", "{end}", "{foo}", "{.items[0]} {.items[1]}", "{'quoted'}", `{"quoted"}`,
	`{"it\"s"}`, "{'open}", "{5}", "{-5}", "{1.50}", "{+1}", "{1.2.3}", "{true}", "{false}", "{trues}", "{.status}{.ratio}", "{.items[0].name",
	"{.status}}", "{{.status}}", "{.status!}", "{!}", "{.data.ok\t}", "{\t.status}", "{.x[", "{.x]}", "{[0]}", "{[*]}", "{[-1]}", "{[1:]}", "{*}",
	"{[0][*]}", "{[*][*]}", "{[*].a}", "{[?(@>1.0)]}", "{[?(@)]}", "{.status.x}", "{.data.deep[*]}",
}

type row struct {
	Path  string `json:"path"`
	Of    int    `json:"of"`
	Value string `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

// first is what a web metric makes of a path: the first value that it finds.
func first(path, document string) (value string, problem error) {
	defer func() {
		if why := recover(); why != nil {
			problem = fmt.Errorf("panic: %v", why)
		}
	}()
	var data any
	if err := json.Unmarshal([]byte(document), &data); err != nil {
		return "", err
	}
	parser := jsonpath.New("paths")
	if err := parser.Parse(path); err != nil {
		return "", err
	}
	found, err := parser.FindResults(data)
	if err != nil {
		return "", err
	}
	for _, results := range found {
		for _, one := range results {
			text, err := json.Marshal(one.Interface())
			return string(text), err
		}
	}
	return "", fmt.Errorf("no value")
}

func main() {
	out, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	texts, _ := json.Marshal(documents)
	fmt.Fprintf(out, "{\"documents\":%s,\n\"rows\":[\n", texts)
	for of, document := range documents {
		for index, path := range paths {
			value, problem := first(path, document)
			one := row{Path: path, Of: of, Value: value}
			if problem != nil {
				one.Error = problem.Error()
			}
			text, _ := json.Marshal(one)
			comma := ","
			if of == len(documents)-1 && index == len(paths)-1 {
				comma = ""
			}
			fmt.Fprintf(out, "%s%s\n", text, comma)
		}
	}
	fmt.Fprintln(out, "]}")
}
