// Command codec measures how fast Go reads an audit EventList: kube-apiserver's own audit codec, and plain
// encoding/json into the same types. It is the peer of `bench-decode`.
//
//	codec FILE ROUNDS
//
// prints `name<TAB>CPU seconds of one decode`, the median over the rounds, which alternate.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"syscall"

	"k8s.io/apimachinery/pkg/runtime/schema"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"

	kuberuntime "k8s.io/apimachinery/pkg/runtime"
)

const decodesPerRound = 20

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: codec FILE ROUNDS"))
	}
	body, err := os.ReadFile(os.Args[1])
	fail(err)
	rounds, err := strconv.Atoi(os.Args[2])
	fail(err)

	decoder := audit.Codecs.UniversalDecoder(schema.GroupVersion{Group: auditinternal.GroupName, Version: kuberuntime.APIVersionInternal})
	peers := []struct {
		name   string
		decode func() (int, error)
	}{
		{"audit codec", func() (int, error) {
			var list auditinternal.EventList
			_, _, err := decoder.Decode(body, nil, &list)
			return len(list.Items), err
		}},
		{"encoding/json", func() (int, error) {
			var list auditv1.EventList
			err := json.Unmarshal(body, &list)
			return len(list.Items), err
		}},
	}
	times := make([][]float64, len(peers))
	for round := 0; round <= rounds; round++ {
		for index, peer := range peers {
			start := cpuSeconds()
			for n := 0; n < decodesPerRound; n++ {
				items, err := peer.decode()
				fail(err)
				if items == 0 {
					fail(fmt.Errorf("%s decoded no event", peer.name))
				}
			}
			// The first round warms up.
			if round > 0 {
				times[index] = append(times[index], (cpuSeconds()-start)/decodesPerRound)
			}
		}
	}
	for index, peer := range peers {
		sort.Float64s(times[index])
		fmt.Printf("%s\t%.9f\n", peer.name, times[index][len(times[index])/2])
	}
	runtime.KeepAlive(body)
}

// cpuSeconds is what all threads of the process used, the garbage collector's too.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	fail(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(time syscall.Timeval) float64 { return float64(time.Sec) + float64(time.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "codec:", err)
		os.Exit(1)
	}
}
