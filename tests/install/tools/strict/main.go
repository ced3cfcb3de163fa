// Reads manifests on standard input and prints each object as a line of JSON, for tests that look into them. The objects of
// Prometheus' operator and of cert-manager are decoded into the types of those projects, and unknown fields are an error:
// the lab's API server does not have their CRDs.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

type named struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

func main() {
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	failed := false
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var object named
		if err := strict.Unmarshal(document, &object); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var into any
		switch object.Kind {
		case "ServiceMonitor":
			into = &monitoring.ServiceMonitor{}
		case "PodMonitor":
			into = &monitoring.PodMonitor{}
		case "PrometheusRule":
			into = &monitoring.PrometheusRule{}
		case "Certificate":
			into = &certmanager.Certificate{}
		case "":
			continue
		}
		if into != nil {
			if err := strict.UnmarshalStrict(document, into); err != nil {
				fmt.Fprintf(os.Stderr, "%s %s: %v\n", object.Kind, object.Name, err)
				failed = true
			}
		}
		line, err := strict.YAMLToJSON(document)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(string(line))
	}
	if failed {
		os.Exit(1)
	}
}
