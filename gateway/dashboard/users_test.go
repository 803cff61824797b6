package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"lintel/gateway/access"
)

// works reports whether a password is that of a user.
func (g *gate) works(user, password string) bool {
	g.t.Helper()
	_, err := g.o.Users.Verify(g.t.Context(), user, []byte(password), "page")
	return err == nil
}

// shown returns the password that a page shows.
func shown(a answered) string {
	_, rest, _ := strings.Cut(a.body, "<dt>Password</dt><dd><code>")
	password, _, _ := strings.Cut(rest, "<")
	return password
}

func TestDeviceWithOneClick(t *testing.T) {
	g := newGate(t)
	a := g.want(200, browse{path: "/users/add", as: "admin", form: url.Values{"name": {" garden "}}})
	password := shown(a)
	u, _ := g.o.Users.Get("garden")
	if !g.works("garden", password) || u.Page != "" || !slices.Equal(u.Roles, []string{"device"}) || !slices.Equal(u.Topics, []string{"garden/#"}) {
		t.Errorf("%q %+v", password, u)
	}
	if a := g.want(200, browse{path: "/users", as: "admin"}); strings.Contains(a.body, password) || !strings.Contains(a.body, "garden/#") {
		t.Error("the password is shown again, or the device is not there")
	}
	for name, code := range map[string]int{"garden": 409, "": 400, "a/b": 400, "+": 400, "#": 400, "$SYS": 400, "lintel": 400, "homeassistant": 400, strings.Repeat("x", 200): 400} {
		a := g.want(code, browse{path: "/users/add", as: "admin", form: url.Values{"name": {name}}})
		if !strings.Contains(a.body, `class="error"`) {
			t.Errorf("%q: no error is shown", name)
		}
		g.want(code, browse{path: "/api/users", as: "token admin", json: fmt.Sprintf(`{"name":%q}`, name)})
	}
	if log := g.kinds(); !strings.Contains(log, "user added garden") {
		t.Error(log)
	}
}

func TestUserPages(t *testing.T) {
	g := newGate(t)
	g.want(200, browse{path: "/users/add", as: "admin", form: url.Values{"name": {"paul"}, "page": {"viewer"}}})
	if u, _ := g.o.Users.Get("paul"); u.Page != access.Viewer || len(u.Roles)+len(u.Topics) != 0 {
		t.Errorf("%+v", u)
	}
	form := url.Values{"name": {"paul"}, "role": {"viewer", "device"}, "topics": {"a/#\r\n\r\n b/+ \r\n"}, "page": {"operator"}}
	if a := g.want(303, browse{path: "/users/change", as: "admin", form: form}); a.location() != "/users/paul" {
		t.Error(a.location())
	}
	u, _ := g.o.Users.Get("paul")
	if u.Page != access.Operator || !slices.Equal(u.Roles, []string{"viewer", "device"}) || !slices.Equal(u.Topics, []string{"a/#", "b/+"}) || u.Disabled {
		t.Errorf("%+v", u)
	}
	for field, value := range map[string]string{"role": "king", "topics": "a/#/b", "page": "king"} {
		bad := url.Values{"name": {"paul"}, "topics": {""}, "page": {""}}
		bad.Set(field, value)
		a := g.want(400, browse{path: "/users/change", as: "admin", form: bad})
		if !strings.Contains(a.body, `class="error"`) {
			t.Errorf("%s: the error is not shown", field)
		}
	}
	if now, _ := g.o.Users.Get("paul"); !slices.Equal(now.Roles, u.Roles) || now.Page != u.Page {
		t.Errorf("a mistake changed %+v", now)
	}
	session := g.session("paul")
	form.Set("disabled", "yes")
	g.want(303, browse{path: "/users/change", as: "admin", form: form})
	g.want(303, browse{path: "/", cookie: session})
	g.want(303, browse{path: "/users/delete", as: "admin", form: url.Values{"name": {"paul"}}})
	if _, ok := g.o.Users.Get("paul"); ok {
		t.Error("still there")
	}
	a := g.want(404, browse{path: "/users/delete", as: "admin", form: url.Values{"name": {"paul"}}})
	if strings.Contains(a.body, "Internal") {
		t.Error(a.body)
	}
	if log := g.kinds(); !strings.Contains(log, "user deleted paul") || !strings.Contains(log, "user changed paul") {
		t.Error(log)
	}
}

func TestNewPassword(t *testing.T) {
	g := newGate(t)
	g.passwords()
	vera, olga := g.session("vera"), g.session("olga")
	a := g.want(200, browse{path: "/users/password", as: "admin", form: url.Values{"name": {"vera"}}})
	if !g.works("vera", shown(a)) || g.works("vera", "password of vera") {
		t.Error("the password that is shown is not the one")
	}
	g.want(303, browse{path: "/", cookie: vera})
	g.want(200, browse{path: "/", cookie: olga})
	g.want(303, browse{path: "/users/password", as: "admin", form: url.Values{"name": {"vera"}, "password": {"chosen by vera"}}})
	if !g.works("vera", "chosen by vera") {
		t.Error("the password that was chosen is not the one")
	}
	if a := g.want(400, browse{path: "/users/password", as: "admin", form: url.Values{"name": {"vera"}, "password": {"short"}}}); !strings.Contains(a.body, `id="error-password"`) {
		t.Error(a.body)
	}
	a = g.want(200, browse{path: "/users/password", as: "admin", form: url.Values{"name": {"homeassistant"}}})
	if !strings.Contains(a.body, "Home Assistant is logged out until it is told") || !g.works("homeassistant", shown(a)) {
		t.Error("no warning, or no password")
	}
	// An admin who changes the own password has to log in with it, everywhere.
	admin := g.session("admin")
	g.want(303, browse{path: "/users/password", cookie: admin, form: url.Values{"name": {"admin"}, "password": {"chosen by the admin"}}})
	g.want(303, browse{path: "/users", cookie: admin})
}

func TestSCRAMCredentials(t *testing.T) {
	g := newGate(t)
	scram := func() string { u, _ := g.o.Users.Get("garden"); return u.SCRAM }
	g.want(201, browse{path: "/api/users", as: "admin", json: `{"name":"garden","scram":true}`})
	first := scram()
	if !strings.HasPrefix(first, "SCRAM-SHA-256$") {
		t.Error(first)
	}
	g.want(200, browse{path: "/users/password", as: "admin", form: url.Values{"name": {"garden"}, "scram": {"yes"}}})
	if second := scram(); second == first || second == "" {
		t.Error("the credentials of the password before")
	}
	g.want(200, browse{path: "/api/users/garden", method: "PATCH", as: "admin", json: `{"generate":true}`})
	if scram() != "" {
		t.Error("the credentials of the password before")
	}
	g.want(400, browse{path: "/api/users/garden", method: "PATCH", as: "admin", json: `{"scram":true}`})
}

func TestUsersCall(t *testing.T) {
	g := newGate(t)
	call := func(code int, method, path, text string) (a userAnswer) {
		t.Helper()
		res := g.want(code, browse{method: method, path: path, as: "token admin", json: text})
		if code < 300 && code != 204 {
			if err := json.Unmarshal([]byte(res.body), &a); err != nil {
				t.Fatal(err)
			}
		}
		return a
	}
	a := call(201, "POST", "/api/users", `{"name":"garden"}`)
	if !g.works("garden", a.Password) || a.User.Topics[0] != "garden/#" {
		t.Errorf("%+v", a)
	}
	a = call(201, "POST", "/api/users", `{"name":"node red","password":"chosen for it","roles":["viewer"],"topics":[]}`)
	if a.Password != "" || !g.works("node red", "chosen for it") || len(a.User.Topics) != 0 {
		t.Errorf("%+v", a)
	}
	a = call(200, "PATCH", "/api/users/node%20red", `{"roles":["viewer","device"],"page":"viewer"}`)
	if a.User.Page != "viewer" || len(a.User.Roles) != 2 || !g.works("node red", "chosen for it") {
		t.Errorf("%+v", a)
	}
	a = call(200, "PATCH", "/api/users/node%20red", `{"generate":true}`)
	if !g.works("node red", a.Password) {
		t.Errorf("%+v", a)
	}
	if a = call(200, "GET", "/api/users/node%20red", ""); a.User.Name != "node red" || a.Password != "" {
		t.Errorf("%+v", a)
	}
	call(400, "PATCH", "/api/users/node%20red", `{"generate":true,"password":"chosen for it"}`)
	call(400, "PATCH", "/api/users/node%20red", `{"name":"other"}`)
	call(400, "PATCH", "/api/users/node%20red", `{"page":"king"}`)
	call(400, "PATCH", "/api/users/node%20red", `{"roles":["king"]}`)
	call(400, "PATCH", "/api/users/node%20red", `{"topics":["$share/a/b"]}`)
	call(400, "PATCH", "/api/users/node%20red", `{"password":"short"}`)
	call(404, "PATCH", "/api/users/nobody", `{"disabled":true}`)
	call(204, "DELETE", "/api/users/node%20red", "")
	call(404, "GET", "/api/users/node%20red", "")
	var list struct{ Users []User }
	if err := json.Unmarshal([]byte(g.want(200, browse{path: "/api/users", as: "token admin"}).body), &list); err != nil || len(list.Users) != 5 {
		t.Errorf("%v %+v", err, list)
	}
	if !slices.ContainsFunc(g.o.Audit.All(), func(e access.Event) bool {
		return e.Kind == access.UserDeleted && e.User == "node red" && strings.Contains(e.Detail, "token the admin")
	}) {
		t.Error(g.kinds())
	}
}

// Somebody must be left who can change users.
func TestLastAdminStays(t *testing.T) {
	g := newGate(t)
	for _, b := range []browse{
		{method: "DELETE", path: "/api/users/admin"},
		{method: "PATCH", path: "/api/users/admin", json: `{"disabled":true}`},
		{method: "PATCH", path: "/api/users/admin", json: `{"page":"operator"}`},
		{path: "/users/delete", form: url.Values{"name": {"admin"}}},
		{path: "/users/change", form: url.Values{"name": {"admin"}, "page": {"viewer"}}},
	} {
		b.as = "admin"
		g.want(409, b)
	}
	// One who has no password helps nobody.
	if err := g.o.Users.Create(t.Context(), access.User{Name: "nobody's", Page: access.Admin}, nil); err != nil {
		t.Fatal(err)
	}
	g.want(409, browse{method: "DELETE", path: "/api/users/admin", as: "admin"})
	g.want(201, browse{path: "/api/users", as: "admin", json: `{"name":"second","page":"admin"}`})
	// Two who delete each other at the same time.
	var wg sync.WaitGroup
	var codes [2]int
	for i, name := range []string{"admin", "second"} {
		wg.Go(func() {
			codes[i] = g.do(browse{method: "DELETE", path: "/api/users/" + name, as: "token admin"}).StatusCode
		})
	}
	wg.Wait()
	slices.Sort(codes[:])
	if codes != [2]int{204, 409} {
		t.Errorf("%v", codes)
	}
}

func TestImportUsers(t *testing.T) {
	g := newGate(t)
	text := http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	file := "# from the old broker\nkitchen:correct horse\nhall:battery staple\n"
	imp := func(code int, query, body string) answered {
		t.Helper()
		return g.want(code, browse{path: "/api/users/import" + query, as: "admin", header: text, body: body})
	}
	a := imp(201, "?role=viewer&role=device", file)
	if !strings.Contains(a.body, "kitchen") || !g.works("hall", "battery staple") {
		t.Error(a.body)
	}
	if u, _ := g.o.Users.Get("kitchen"); !slices.Equal(u.Roles, []string{"viewer", "device"}) || u.Page != "" {
		t.Errorf("%+v", u)
	}
	if a := imp(409, "", "attic:correct horse\nadmin:correct horse\n"); !strings.Contains(a.body, "admin") {
		t.Error(a.body)
	}
	if a := imp(400, "", "attic:correct horse\nno colon\n"); !strings.Contains(a.body, ":2:") {
		t.Error(a.body)
	}
	imp(400, "?role=king", "attic:correct horse\n")
	if _, ok := g.o.Users.Get("attic"); ok || !g.works("admin", adminPassword) {
		t.Error("a file with a mistake changed something")
	}
}

func TestManyUsersOnThePage(t *testing.T) {
	g := newGate(t)
	var many []access.User
	for i := range userRows + 50 {
		many = append(many, access.User{Name: fmt.Sprintf("sensor%03d", i)})
	}
	if err := g.o.Users.Import(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	a := g.want(200, browse{path: "/users", as: "admin"})
	if n := strings.Count(a.body, `<th scope="row">`); n != userRows || !strings.Contains(a.body, `href="/users?page=2"`) {
		t.Errorf("%d users", n)
	}
	a = g.want(200, browse{path: "/users?page=2", as: "admin"})
	if n := strings.Count(a.body, `<th scope="row">`); n != 54 || !strings.Contains(a.body, "sensor149") {
		t.Errorf("%d users on the second page", n)
	}
	a = g.want(200, browse{path: "/users?q=SENSOR14", as: "admin"})
	if n := strings.Count(a.body, `<th scope="row">`); n != 10 {
		t.Errorf("%d users are found", n)
	}
}
