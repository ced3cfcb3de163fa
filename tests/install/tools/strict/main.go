// Reads rendered manifests on standard input and decodes the objects of Prometheus' operator and of cert-manager into the
// types of those projects, unknown fields refused: their CRDs are not in the lab's API server. Prints kind and name of each.
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
		case "PrometheusRule":
			into = &monitoring.PrometheusRule{}
		case "Certificate":
			into = &certmanager.Certificate{}
		default:
			continue
		}
		if err := strict.UnmarshalStrict(document, into); err != nil {
			fmt.Fprintf(os.Stderr, "%s %s: %v\n", object.Kind, object.Name, err)
			failed = true
			continue
		}
		fmt.Printf("%s %s\n", object.Kind, object.Name)
	}
	if failed {
		os.Exit(1)
	}
}
