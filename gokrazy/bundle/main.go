// Command bundle makes updates out of what gokrazy/build.sh has built: keys, bundles, and
// the static files of a release feed. gateway/update/README.md has their bytes.
package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"lintel/gateway/update"
)

const usage = `bundle makes updates of Lintel.

	bundle keys FILE...            make private keys, print the public ones
	bundle build --root FILE ...   make a bundle of a root; build --help
	bundle feed --folder FOLDER --channel CHANNEL --percent N BUNDLE
	                               put a bundle into a feed, or change whom it is for; feed --help
	bundle show FILE               verify a bundle or an index, and print what it says

`

// errUsage says that the call was wrong; the status is then 2.
var errUsage = errors.New("see bundle help")

func main() {
	err := run(os.Args[1:], os.Stdout, time.Now())
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "bundle:", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(args []string, out io.Writer, now time.Time) error {
	if len(args) == 0 {
		fmt.Fprint(out, usage)
		return errUsage
	}
	switch args[0] {
	case "keys":
		return makeKeys(args[1:], out)
	case "build":
		return build(args[1:], out, now)
	case "feed":
		return feed(args[1:], out, now)
	case "show":
		return show(args[1:], out)
	case "help", "-h", "--help":
		fmt.Fprint(out, usage)
		return nil
	}
	return fmt.Errorf("there is no command %q: %w", args[0], errUsage)
}

// parse parses the flags of a command.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return errUsage
	}
	return err
}

// makeKeys writes private keys in the form that openssl(1) has for them (PKCS #8, PEM).
func makeKeys(files []string, out io.Writer) error {
	if len(files) == 0 || strings.HasPrefix(files[0], "-") {
		return fmt.Errorf("keys takes the names of files to write: %w", errUsage)
	}
	for _, name := range files {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return err
		}
		// A key that is there is never overwritten: boxes may trust it.
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: id %v, public key %s\n", name, update.IDOf(public), base64.StdEncoding.EncodeToString(public))
	}
	return nil
}

// signers are private keys named on the command line.
type signers []ed25519.PrivateKey

func (s *signers) String() string { return "" }

// Set adds the keys of files with commas between them.
func (s *signers) Set(names string) error {
	for name := range strings.SplitSeq(names, ",") {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		block, _ := pem.Decode(text)
		if block == nil || block.Type != "PRIVATE KEY" {
			return fmt.Errorf("%s is no private key as bundle keys makes them", name)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		private, ok := key.(ed25519.PrivateKey)
		if !ok {
			return fmt.Errorf("%s is no Ed25519 key", name)
		}
		*s = append(*s, private)
	}
	return nil
}

// keyFlag adds the flag for private keys.
func keyFlag(flags *flag.FlagSet) *signers {
	s := new(signers)
	flags.Var(s, "key", "`file` of a private key; may be there twice, for the current and the next (default $UPDATE_SIGNING_KEYS, commas between)")
	return s
}

// orEnvironment takes the keys of the environment if none were named.
func (s *signers) orEnvironment() error {
	if names := os.Getenv("UPDATE_SIGNING_KEYS"); len(*s) == 0 && names != "" {
		return s.Set(names)
	}
	return nil
}

// trust returns public keys in base64, commas between, and those of the signers.
func (s signers) trust(trusted string) (update.Keys, error) {
	keys, err := update.ParseKeys(trusted)
	for _, private := range s {
		keys = keys.With(update.Keys{private.Public().(ed25519.PublicKey)})
	}
	return keys, err
}
