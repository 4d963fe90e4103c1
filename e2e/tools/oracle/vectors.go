package main

import (
	"bufio"
	// The digests that Kubernetes can check in an image name.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"strings"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/hash"
	"github.com/distribution/reference"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/rand"
)

const (
	templateCount = 1500
	stepCount     = 250
	quantityCount = 900
	pairCount     = 300
	// jsonBytes bounds the examples that also carry the JSON that was hashed;
	// the hash proves as much, the JSON is for reading.
	jsonBytes = 260
)

type templateVector struct {
	Template  json.RawMessage `json:"template"`
	JSON      string          `json:"json,omitempty"`
	Hash      string          `json:"hash"`
	Collision int32           `json:"collision"`
	Collided  string          `json:"hashWithCollision"`
}

type stepVector struct {
	Steps json.RawMessage `json:"steps"`
	JSON  string          `json:"json,omitempty"`
	Hash  string          `json:"hash"`
}

// decoded is the Rollout as the controller of Argo Rollouts sees it: from the
// informer's untyped object to the type, leniently, then once through JSON.
func decoded(template, steps json.RawMessage) (*v1alpha1.Rollout, error) {
	text, err := json.Marshal(map[string]any{
		"apiVersion": "argoproj.io/v1alpha1",
		"kind":       "Rollout",
		"metadata":   map[string]any{"name": "example"},
		"spec": map[string]any{
			"strategy": map[string]any{"canary": map[string]any{"steps": steps}},
			"template": template,
		},
	})
	if err != nil {
		return nil, err
	}
	untyped := &unstructured.Unstructured{}
	if err := untyped.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	rollout := &v1alpha1.Rollout{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(untyped.Object, rollout) != nil {
		rollout = &v1alpha1.Rollout{}
		text, err := json.Marshal(untyped.Object)
		if err != nil {
			return nil, err
		}
		_ = json.Unmarshal(text, rollout)
	}
	text, err = json.Marshal(rollout)
	if err != nil {
		return nil, err
	}
	again := &v1alpha1.Rollout{}
	return again, json.Unmarshal(text, again)
}

func templateVectorOf(template json.RawMessage, collision int32) (templateVector, error) {
	rollout, err := decoded(template, json.RawMessage("null"))
	if err != nil {
		return templateVector{}, err
	}
	text, err := json.Marshal(&rollout.Spec.Template)
	if err != nil {
		return templateVector{}, err
	}
	vector := templateVector{
		Template:  template,
		Hash:      hash.ComputePodTemplateHash(&rollout.Spec.Template, nil),
		Collision: collision,
		Collided:  hash.ComputePodTemplateHash(&rollout.Spec.Template, &collision),
	}
	if len(text) <= jsonBytes {
		vector.JSON = string(text)
	}
	return vector, nil
}

func stepVectorOf(steps json.RawMessage) (stepVector, error) {
	rollout, err := decoded(json.RawMessage("{}"), steps)
	if err != nil {
		return stepVector{}, err
	}
	text, err := json.Marshal(rollout.Spec.Strategy.Canary.Steps)
	if err != nil {
		return stepVector{}, err
	}
	// The controller's own function also reads the strategy; this is its core.
	hasher := fnv.New32a()
	_, _ = hasher.Write(text)
	vector := stepVector{Steps: steps, Hash: rand.SafeEncodeString(fmt.Sprint(hasher.Sum32()))}
	if len(text) <= jsonBytes {
		vector.JSON = string(text)
	}
	return vector, nil
}

// fixedTemplates are written by hand: the two whose hashes were seen on a
// cluster, and the edges that chance would seldom make.
var fixedTemplates = []string{
	`{"metadata":{"labels":{"app":"canary-scaledowndelay"}},"spec":{"containers":[{"name":"canary-scaledowndelay","image":"nginx:1.19-alpine","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],"resources":{"requests":{"memory":"16Mi","cpu":"5m"}}}]}}`,
	`{"metadata":{"labels":{"app":"dynamic-stable-scale"}},"spec":{"readinessGates":[{"conditionType":"argoproj.io/e2e-readiness"}],"containers":[{"name":"dynamic-stable-scale","image":"nginx:1.19-alpine","ports":[{"name":"http","containerPort":80,"protocol":"TCP"}],"resources":{"requests":{"memory":"16Mi","cpu":"5m"}}}]}}`,
	`{}`, `null`, `{"spec":null}`, `{"spec":{"containers":null}}`, `{"spec":{"containers":[]}}`, `{"spec":{"containers":[null]}}`,
	`{"metadata":{"creationTimestamp":null,"labels":{}},"spec":{"containers":[{"name":"a"}]}}`,
	`{"spec":{"containers":[{"name":"a","resources":{"requests":{"memory":"invalid"}}}]}}`,
	`{"spec":{"volumes":[{"name":"a","emptyDir":{}},{"name":"b","emptyDir":{"sizeLimit":"0.5Gi"}}]}}`,
}

var fixedSteps = []string{
	`null`, `[]`, `[{"setWeight":20},{"pause":{}},{"setWeight":40},{"pause":{"duration":10}},{"pause":{"duration":"1h"}}]`,
	`[{"setWeight":0},{},null]`,
	`[{"plugin":{"name":"a/b","config":{"z":1,"a":[1.0,2.50,"<"]}}},{"plugin":{"name":"c"}}]`,
	`[{"setHeaderRoute":{"name":"h","match":[{"headerName":"x","headerValue":{"exact":"<y>"}}]}},{"setMirrorRoute":{"name":"m","percentage":35,"match":[{"method":{"prefix":"G"},"path":{"regex":".*"}}]}}]`,
	`[{"setCanaryScale":{"matchTrafficWeight":true}},{"setCanaryScale":{"weight":5}},{"setCanaryScale":{"replicas":0}}]`,
	`[{"analysis":{"templates":[{"templateName":"t","clusterScope":true}],"args":[{"name":"a","valueFrom":{"podTemplateHashValue":"Latest"}}]}}]`,
	`[{"experiment":{"duration":"5m","templates":[{"name":"b","specRef":"stable","weight":5,"service":{"name":"s"},"selector":{"matchLabels":{"b":"1","a":"2"}}}],"analyses":[{"name":"x","templateName":"y","requiredForCompletion":true}]}}]`,
}

var images = []string{
	"", "nginx", "nginx:latest", "nginx:1", "NGINX", "library/nginx", "docker.io/nginx", "localhost:5000/a", "localhost:5000/a:latest", "localhost/a",
	"a.b/c/d", "a.b/C/d", "A.b/c", "Ab/c", "a:5/b:c", "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"a:latest@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "a:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"a@sha256:short", "a@md5:d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "a:", ":a", "a b", " a", "a_b", "a__b", "a___b", "a--b", "-a", "a-", "a..b",
	"a:" + "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789", "a:.x", "a:_x", "[::1]:5000/a", "[::1]/a", "a.b:port/c", "x/y/z:LATEST", "a:latest ", "http://a", "a//b", "/a", "a/", "xn--n3h.net/a", "é", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"index.docker.io/nginx", "docker.io/library", "docker.io/a/b/c:latest", "a.b:80/c@sha512:00", "LOCALHOST/a", "a+b", "a@sha256+b64:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "a/b_c.d-e/f",
}

func printVectors(out io.Writer) error {
	w := bufio.NewWriter(out)
	samples := newSampler(1)
	templates, err := templateLines(samples)
	if err != nil {
		return err
	}
	steps, err := stepLines(samples)
	if err != nil {
		return err
	}
	reportUnused(samples)
	quantities, err := quantityLines()
	if err != nil {
		return err
	}
	sections := []struct {
		name  string
		lines []any
	}{
		{"templates", templates}, {"steps", steps}, {"quantities", quantities}, {"pairs", pairLines()}, {"images", imageLines()},
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for i, section := range sections {
		fmt.Fprintf(w, "%s%q: [\n", []string{"{", ","}[min(i, 1)], section.name)
		for j, line := range section.lines {
			if j > 0 {
				fmt.Fprint(w, ",")
			}
			if err := encoder.Encode(line); err != nil {
				return err
			}
		}
		fmt.Fprint(w, "]")
	}
	fmt.Fprintln(w, "}")
	return w.Flush()
}

func templateLines(samples *sampler) ([]any, error) {
	var lines []any
	for i := range templateCount {
		var text json.RawMessage
		if i < len(fixedTemplates) {
			text = json.RawMessage(fixedTemplates[i])
		} else {
			samples.budget = 6 + samples.random.Intn(14)
			samples.mistyped = samples.rarely(20)
			object := samples.object(roots[0], "spec")
			var err error
			if text, err = json.Marshal(object); err != nil {
				return nil, err
			}
		}
		collision := []int32{0, 1, 2, 255, 65536, -1}[samples.random.Intn(6)]
		vector, err := templateVectorOf(text, collision)
		if err != nil {
			return nil, fmt.Errorf("template %s: %w", text, err)
		}
		lines = append(lines, vector)
	}
	return lines, nil
}

func stepLines(samples *sampler) ([]any, error) {
	var lines []any
	for i := range stepCount {
		var text json.RawMessage
		if i < len(fixedSteps) {
			text = json.RawMessage(fixedSteps[i])
		} else {
			samples.mistyped = samples.rarely(20)
			var steps []any
			for range 1 + samples.random.Intn(3) {
				samples.budget = 4 + samples.random.Intn(10)
				steps = append(steps, samples.object(roots[1]))
			}
			var err error
			if text, err = json.Marshal(steps); err != nil {
				return nil, err
			}
		}
		vector, err := stepVectorOf(text)
		if err != nil {
			return nil, fmt.Errorf("steps %s: %w", text, err)
		}
		lines = append(lines, vector)
	}
	return lines, nil
}

// reportUnused says which fields no example reached.
func reportUnused(samples *sampler) {
	for name, fields := range buildTable() {
		for _, field := range fields {
			if samples.used[name+"."+field.Name] == 0 {
				fmt.Fprintf(os.Stderr, "oracle: no example has %s.%s\n", name, field.Name)
			}
		}
	}
}

// throughGo reads and writes a quantity as happens to it in a Rollout: once
// untyped, twice typed. It returns nil where Go refuses the quantity.
func throughGo(text json.RawMessage) (any, error) {
	var untyped any
	if err := utiljson.Unmarshal(text, &untyped); err != nil {
		return nil, err
	}
	text, err := json.Marshal(untyped)
	if err != nil {
		return nil, err
	}
	for range 2 {
		quantity := resource.Quantity{}
		if json.Unmarshal(text, &quantity) != nil {
			return nil, nil
		}
		if text, err = json.Marshal(quantity); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func quantityLines() ([]any, error) {
	var lines []any
	samples := newSampler(2)
	for i := range quantityCount {
		var spelled any
		switch bad := []string{"", "invalid", "5x", "1mm", "1 Gi", "e3", "1e", "1e+", "--1", "1.2.3", "1,5", "Mi", "1KI", "0x10", "1_0", "1ki", "+", "1Kib", "1e3m", "1e1.5"}; {
		case i < len(bad):
			spelled = bad[i]
		case i-len(bad) < len(quantities):
			spelled = quantities[i-len(bad)]
		default:
			spelled = samples.quantity()
		}
		text, err := json.Marshal(spelled)
		if err != nil {
			return nil, err
		}
		canonical, err := throughGo(text)
		if err != nil {
			return nil, fmt.Errorf("quantity %s: %w", text, err)
		}
		lines = append(lines, []any{json.RawMessage(text), canonical})
	}
	return lines, nil
}

// pairLines says of two spellings whether the API server makes the same amount
// of them: it rounds up to thousandths.
func pairLines() []any {
	var lines []any
	samples := newSampler(3)
	for range pairCount {
		left, right := samples.pick(quantities), samples.pick(quantities)
		if !samples.rarely(6) {
			// Mostly look for another spelling that is the same.
			for _, other := range quantities {
				if other != left && same(left, other) {
					right = other
				}
			}
		}
		lines = append(lines, []any{left, right, same(left, right)})
	}
	return lines
}

func same(left, right string) bool {
	a, b := resource.MustParse(strings.TrimSpace(left)), resource.MustParse(strings.TrimSpace(right))
	a.RoundUp(resource.Milli)
	b.RoundUp(resource.Milli)
	return a.Cmp(b) == 0
}

// imageLines gives the pull policy that Kubernetes defaults an image to.
func imageLines() []any {
	var lines []any
	for _, image := range images {
		policy := "IfNotPresent"
		if named, err := reference.ParseNormalizedNamed(image); err == nil {
			tag := ""
			if tagged, ok := named.(reference.Tagged); ok {
				tag = tagged.Tag()
			}
			_, digested := named.(reference.Digested)
			if tag == "latest" || tag == "" && !digested {
				policy = "Always"
			}
		}
		lines = append(lines, []any{image, policy})
	}
	return lines
}
