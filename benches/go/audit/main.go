// Command audit measures kube-apiserver's own audit filter and encoder. It is the peer of `bench-audit`.
//
//	audit REQUESTS POLICY ROUNDS EVENT...
//
// prints `name<TAB>CPU nanoseconds of one`, medians over the rounds: what WithAudit adds to requests that are recorded and to
// requests at level None, with a sink that does nothing, and what writing the log line of each event file costs.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apimachinery/pkg/util/sets"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
)

const passesPerRound = 20

type attributes struct {
	User *struct {
		Name   string
		Groups []string
	}
	Verb, Namespace, APIGroup, APIVersion, Resource, Subresource, Name, Path string
	IsResourceRequest                                                        bool
}

// nop takes every event.
type nop struct{}

func (nop) ProcessEvents(...*auditinternal.Event) bool { return true }

// writer is a response that keeps nothing.
type writer struct{ header http.Header }

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) Write(b []byte) (int, error) { return len(b), nil }
func (w *writer) WriteHeader(int)             {}

type prepared struct {
	user     user.Info
	info     *request.RequestInfo
	req      *http.Request
	recorded bool
}

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: audit REQUESTS POLICY ROUNDS EVENT..."))
	}
	evaluator := evaluatorOf(os.Args[2])
	rounds, err := strconv.Atoi(os.Args[3])
	fail(err)
	requests := requestsOf(os.Args[1], evaluator)

	answer := []byte("{}")
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.Write(answer)
	})
	longRunning := genericfilters.BasicLongRunningRequestCheck(sets.NewString("watch", "proxy"), sets.NewString("attach", "exec", "proxy", "log", "portforward"))
	audited := filters.WithAudit(handler, nop{}, evaluator, longRunning)
	serve := func(h http.Handler, recorded bool) int {
		n := 0
		for index := range requests {
			r := &requests[index]
			if r.recorded != recorded {
				continue
			}
			n++
			ctx := audit.WithAuditContext(context.Background())
			audit.WithAuditID(ctx, "87b4ad0a-5a5e-4f43-9a55-0c624e0f3630")
			ctx = request.WithRequestInfo(ctx, r.info)
			ctx = request.WithReceivedTimestamp(ctx, time.Now())
			if r.user != nil {
				ctx = request.WithUser(ctx, r.user)
			}
			h.ServeHTTP(&writer{header: http.Header{}}, r.req.WithContext(ctx))
		}
		return n
	}
	type contender struct {
		name string
		run  func() int
	}
	contenders := []contender{
		{"bare recorded", func() int { return serve(handler, true) }},
		{"audited recorded", func() int { return serve(audited, true) }},
		{"bare none", func() int { return serve(handler, false) }},
		{"audited none", func() int { return serve(audited, false) }},
	}
	encoder := audit.Codecs.LegacyCodec(auditv1.SchemeGroupVersion)
	for _, path := range os.Args[4:] {
		text, err := os.ReadFile(path)
		fail(err)
		object, _, err := audit.Codecs.UniversalDecoder().Decode(text, nil, nil)
		fail(err)
		event := object.(*auditinternal.Event)
		contenders = append(contenders, contender{strings.TrimSuffix(filepath.Base(path), ".json"), func() int {
			// As the log backend does it: plugin/pkg/audit/log/backend.go.
			for n := 0; n < 200; n++ {
				bytes, err := runtime.Encode(encoder, event)
				fail(err)
				sink = len(bytes)
			}
			return 200
		}})
	}
	times := make([][]float64, len(contenders))
	for round := 0; round <= rounds; round++ {
		for index, c := range contenders {
			start, n := cpuSeconds(), 0
			for pass := 0; pass < passesPerRound; pass++ {
				n += c.run()
			}
			// The first round warms up.
			if round > 0 {
				times[index] = append(times[index], (cpuSeconds()-start)*1e9/float64(n))
			}
		}
	}
	// What the filter adds is the median of the differences within a round.
	for index := 0; index < 4; index += 2 {
		differences := make([]float64, rounds)
		for round := range differences {
			differences[round] = times[index+1][round] - times[index][round]
		}
		report(contenders[index+1].name, differences)
	}
	for index := 4; index < len(contenders); index++ {
		report(contenders[index].name, times[index])
	}
}

func report(name string, times []float64) {
	sort.Float64s(times)
	fmt.Printf("%s\t%.1f\n", name, times[len(times)/2])
}

func evaluatorOf(path string) audit.PolicyRuleEvaluator {
	text, err := os.ReadFile(path)
	fail(err)
	loaded, err := policy.LoadPolicyFromBytes(text)
	fail(err)
	return policy.NewPolicyRuleEvaluator(loaded)
}

func requestsOf(path string, evaluator audit.PolicyRuleEvaluator) []prepared {
	text, err := os.ReadFile(path)
	fail(err)
	var list []attributes
	fail(json.Unmarshal(text, &list))
	var requests []prepared
	for _, a := range list {
		target := a.Path
		if a.IsResourceRequest {
			target = "/apis/" + a.APIGroup + "/" + a.APIVersion + "/namespaces/" + a.Namespace + "/" + a.Resource + "/" + a.Name
		}
		req := &http.Request{Method: "GET", URL: &url.URL{Path: target}, RemoteAddr: "10.128.0.12:40000", Header: http.Header{
			"User-Agent": {"kube-controller-manager/v1.36.3 (linux/amd64) kubernetes/abcdef0/system:serviceaccount:kube-system:deployment-controller"}, "Accept": {"application/json"},
		}}
		p := prepared{req: req, info: &request.RequestInfo{
			IsResourceRequest: a.IsResourceRequest, Path: a.Path, Verb: a.Verb, APIGroup: a.APIGroup, APIVersion: a.APIVersion,
			Namespace: a.Namespace, Resource: a.Resource, Subresource: a.Subresource, Name: a.Name,
		}}
		record := authorizer.AttributesRecord{
			Verb: a.Verb, Namespace: a.Namespace, APIGroup: a.APIGroup, APIVersion: a.APIVersion, Resource: a.Resource,
			Subresource: a.Subresource, Name: a.Name, Path: a.Path, ResourceRequest: a.IsResourceRequest,
		}
		if a.User != nil {
			p.user = &user.DefaultInfo{Name: a.User.Name, Groups: a.User.Groups}
			record.User = p.user
		}
		p.recorded = evaluator.EvaluatePolicyRule(&record).Level != auditinternal.LevelNone
		requests = append(requests, p)
	}
	return requests
}

// sink keeps the answers from being optimised away.
var sink int

// cpuSeconds is what all threads of the process used, the garbage collector's too.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	fail(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(time syscall.Timeval) float64 { return float64(time.Sec) + float64(time.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
}
