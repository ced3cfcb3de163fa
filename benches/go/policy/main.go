// Command policy measures kube-apiserver's own policy evaluator. It is the peer of `bench-policy`.
//
//	policy REQUESTS ROUNDS POLICY...
//
// prints, for each policy, the CPU nanoseconds of one evaluation: the median over the rounds.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"syscall"

	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

const passesPerRound = 20

type request struct {
	User *struct {
		Name   string
		Groups []string
	}
	Verb, Namespace, APIGroup, APIVersion, Resource, Subresource, Name, Path string
	IsResourceRequest                                                        bool
}

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: policy REQUESTS ROUNDS POLICY..."))
	}
	text, err := os.ReadFile(os.Args[1])
	fail(err)
	var requests []request
	fail(json.Unmarshal(text, &requests))
	rounds, err := strconv.Atoi(os.Args[2])
	fail(err)
	attributes := make([]authorizer.Attributes, 0, len(requests))
	for _, r := range requests {
		record := authorizer.AttributesRecord{
			Verb: r.Verb, Namespace: r.Namespace, APIGroup: r.APIGroup, APIVersion: r.APIVersion, Resource: r.Resource,
			Subresource: r.Subresource, Name: r.Name, Path: r.Path, ResourceRequest: r.IsResourceRequest,
		}
		if r.User != nil {
			record.User = &user.DefaultInfo{Name: r.User.Name, Groups: r.User.Groups}
		}
		attributes = append(attributes, &record)
	}
	for _, path := range os.Args[3:] {
		text, err := os.ReadFile(path)
		fail(err)
		loaded, err := policy.LoadPolicyFromBytes(text)
		fail(err)
		evaluator := policy.NewPolicyRuleEvaluator(loaded)
		times := make([]float64, 0, rounds)
		for round := 0; round <= rounds; round++ {
			start := cpuSeconds()
			for pass := 0; pass < passesPerRound; pass++ {
				for _, a := range attributes {
					sink = len(evaluator.EvaluatePolicyRule(a).Level)
				}
			}
			// The first round warms up.
			if round > 0 {
				times = append(times, (cpuSeconds()-start)*1e9/float64(passesPerRound*len(attributes)))
			}
		}
		sort.Float64s(times)
		fmt.Printf("%.3f\n", times[len(times)/2])
	}
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
		fmt.Fprintln(os.Stderr, "policy:", err)
		os.Exit(1)
	}
}
