package settings

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
)

// AccessConfig is who may do what. Who they are is state, which the pages change: see
// package access.
type AccessConfig struct {
	Roles            string            `toml:"roles"`             // role file; empty: the built-in roles
	Anonymous        map[string]string `toml:"anonymous"`         // listening address as it stands in [mqtt] → role of who shows nothing there
	CertificateRoles []string          `toml:"certificate_roles"` // of a client certificate whose name is not that of a user
	JWT              JWTConfig         `toml:"jwt"`
}

// JWTConfig is about logins with JSON Web Tokens. There are none unless keys are named.
type JWTConfig struct {
	Algorithms     []string `toml:"algorithms"`       // empty: those of the keys
	SecretFile     string   `toml:"secret_file"`      // the secret of HS256
	KeyFiles       []string `toml:"key_files"`        // PEM: public keys or certificates
	JWKSFile       string   `toml:"jwks_file"`        // JSON Web Key Set
	JWKSURL        string   `toml:"jwks_url"`         // of such a set
	JWKSCA         string   `toml:"jwks_ca"`          // PEM file: authorities for it; empty: the system's
	JWKSRefresh    int      `toml:"jwks_refresh"`     // seconds
	Issuer         string   `toml:"issuer"`           // empty: any
	Audience       string   `toml:"audience"`         // empty: a token must be for nobody in particular
	Leeway         int      `toml:"leeway"`           // seconds by which clocks may differ
	UserClaim      string   `toml:"user_claim"`       // names the user
	RolesClaim     string   `toml:"roles_claim"`      // names roles; empty: none
	ACLClaim       string   `toml:"acl_claim"`        // holds rules; empty: none
	ClientIDClaims []string `toml:"client_id_claims"` // must be the client identifier, those that a token has
	AnyUserName    bool     `toml:"any_user_name"`    // the user name beside the token is ignored
	NoExpiry       bool     `toml:"no_expiry"`        // tokens that never end are taken
}

func defaultAccess() AccessConfig {
	return AccessConfig{
		Anonymous:        map[string]string{},
		CertificateRoles: []string{},
		JWT: JWTConfig{
			Algorithms: []string{}, KeyFiles: []string{},
			JWKSRefresh: 600, Leeway: 60, UserClaim: "sub", ClientIDClaims: []string{"clientid"},
		},
	}
}

// Enabled reports whether keys are named.
func (c JWTConfig) Enabled() bool {
	return c.SecretFile != "" || len(c.KeyFiles) > 0 || c.JWKSFile != "" || c.JWKSURL != ""
}

// Options are what package access calls the same.
func (c JWTConfig) Options() access.JWTOptions {
	return access.JWTOptions{
		Algorithms: c.Algorithms, SecretFile: c.SecretFile, KeyFiles: c.KeyFiles,
		JWKSFile: c.JWKSFile, JWKSURL: c.JWKSURL, JWKSCA: c.JWKSCA, JWKSRefresh: time.Duration(c.JWKSRefresh) * time.Second,
		Issuer: c.Issuer, Audience: c.Audience, Leeway: time.Duration(c.Leeway) * time.Second,
		UserClaim: c.UserClaim, RolesClaim: c.RolesClaim, ACLClaim: c.ACLClaim, ClientIDClaims: c.ClientIDClaims,
		AnyUserName: c.AnyUserName, NoExpiry: c.NoExpiry,
	}
}

// resolve makes the paths of files relative to the folder that the configuration is in.
func (c *AccessConfig) resolve(folder string) {
	paths := []*string{&c.Roles, &c.JWT.SecretFile, &c.JWT.JWKSFile, &c.JWT.JWKSCA}
	for i := range c.JWT.KeyFiles {
		paths = append(paths, &c.JWT.KeyFiles[i])
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(folder, *p)
		}
	}
}

// Needed are the roles that the configuration gives away.
func (c AccessConfig) Needed() []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.AppendSeq(slices.Clone(c.CertificateRoles), maps.Values(c.Anonymous)))))
}

// accessProblems checks [access]. What is in the files that it names is checked when they
// are read.
func (c Config) accessProblems(bad func(key, format string, args ...any)) {
	a := c.Access
	addresses := slices.Concat(c.MQTT.Listen, c.MQTT.TLS, c.MQTT.WebSocket, c.MQTT.WebSocketTLS, c.MQTT.Unix)
	for _, address := range slices.Sorted(maps.Keys(a.Anonymous)) {
		if !slices.Contains(addresses, address) {
			bad("access.anonymous."+address, "nothing listens on %q; right is one of %s, as in [mqtt]", address, strings.Join(addresses, ", "))
		}
	}
	if a.Roles == "" { // else the role file may have it
		var builtIn []string
		for _, r := range access.BuiltIn(c.HomeAssistant.Prefix) {
			builtIn = append(builtIn, r.Name)
		}
		unknown := func(key, role string) {
			if !slices.Contains(builtIn, role) {
				bad(key, "there is no role %q; right is one of %s, or one of a file that access.roles names", role, strings.Join(builtIn, ", "))
			}
		}
		for _, address := range slices.Sorted(maps.Keys(a.Anonymous)) {
			unknown("access.anonymous."+address, a.Anonymous[address])
		}
		for i, role := range a.CertificateRoles {
			unknown(fmt.Sprintf("access.certificate_roles[%d]", i), role)
		}
	}
	if n := a.JWT.JWKSRefresh; n < 60 || n > 7*24*3600 {
		bad("access.jwt.jwks_refresh", "%d is out of range; right is 60 to %d seconds", n, 7*24*3600)
	}
	if n := a.JWT.Leeway; n < 0 || n > 600 {
		bad("access.jwt.leeway", "%d is out of range; right is 0 to 600 seconds", n)
	}
	for i, name := range a.JWT.Algorithms {
		if !slices.Contains([]string{"HS256", "RS256", "ES256", "EdDSA"}, name) {
			bad(fmt.Sprintf("access.jwt.algorithms[%d]", i), "%q is none of HS256, RS256, ES256, EdDSA", name)
		}
	}
	if a.JWT.UserClaim == "" {
		bad("access.jwt.user_claim", "is empty; right is a claim such as %q", "sub")
	}
}
