// Roots prints the certificates that programs of the image trust: Mozilla's, as the
// module that go.mod pins has them. gok would take those of the machine that builds.
package main

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	for root := range bundle.Roots() {
		// Certificates with a condition are for programs that can look at it.
		if root.Constraint == nil {
			pem.Encode(out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "roots:", err)
		os.Exit(1)
	}
}
