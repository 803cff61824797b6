package dashboard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"lintel/gateway/access"
)

func (s *Server) userRoutes() []route {
	return []route{
		{pattern: "GET /api/users", level: admin, call: gives(s, s.listUsers)},
		{pattern: "POST /api/users", level: admin, body: 64 << 10, call: takes(s, s.addUser)},
		{pattern: "POST /api/users/import", level: admin, body: maxImport, kind: "text/plain",
			patience: 2 * lastingTime, // passwords that are not hashed yet take a while
			call:     gives(s, s.importUsers)},
		{pattern: "GET /api/users/{name}", level: admin, call: gives(s, s.showUser)},
		{pattern: "PATCH /api/users/{name}", level: admin, body: 64 << 10, call: takes(s, s.changeUser)},
		{pattern: "DELETE /api/users/{name}", level: admin, call: does(s, s.deleteUser)},
	}
}

// User is a user as GET /api/users tells it.
type User struct {
	Name     string       `json:"name"`
	Roles    []string     `json:"roles"`
	Topics   []string     `json:"topics"`
	Page     access.Level `json:"page"`
	Disabled bool         `json:"disabled"`
	Created  time.Time    `json:"created"`
}

func userOf(u access.User) User {
	return User{u.Name, append([]string{}, u.Roles...), append([]string{}, u.Topics...), u.Page, u.Disabled, u.Created}
}

// userChange is what somebody wants to be otherwise; nil stays.
type userChange struct {
	Password *string       `json:"password"`
	Generate bool          `json:"generate"` // a password that the box makes
	SCRAM    bool          `json:"scram"`    // with the password, credentials of SCRAM-SHA-256
	Roles    *[]string     `json:"roles"`
	Topics   *[]string     `json:"topics"`
	Page     *access.Level `json:"page"`
	Disabled *bool         `json:"disabled"`
}

// check reports what is wrong with a change.
func (s *Server) check(c *userChange) error {
	if c.SCRAM && c.Password == nil && !c.Generate {
		return wrong("password", "SCRAM takes the password: send password or generate with it.")
	}
	if c.Password != nil {
		if c.Generate {
			return wrong("password", "Send a password or generate, not both.")
		}
		if err := access.CheckPassword([]byte(*c.Password)); err != nil {
			return wrong("password", "%s", sentence(err))
		}
	}
	if c.Roles != nil {
		known := s.o.Roles()
		for _, role := range *c.Roles {
			if !slices.Contains(known, role) {
				return wrong("roles", "There is no role %q. Choose of %s.", role, strings.Join(known, ", "))
			}
		}
	}
	if c.Topics != nil {
		if err := access.ValidateTopics(*c.Topics); err != nil {
			return wrong("topics", "%s", sentence(err))
		}
	}
	return nil
}

// apply makes the change, but for the password.
func (c *userChange) apply(u *access.User) {
	if c.Roles != nil {
		u.Roles = *c.Roles
	}
	if c.Topics != nil {
		u.Topics = *c.Topics
	}
	if c.Page != nil {
		u.Page = *c.Page
	}
	if c.Disabled != nil {
		u.Disabled = *c.Disabled
	}
}

// device makes of a change the least rights: a device has its own topics.
func (s *Server) device(name string, c *userChange) error {
	// A name that is a topic of others would make a device their master.
	base, _, _ := strings.Cut(s.o.BaseTopic, "/")
	if name == base || name == access.HomeAssistantUser || access.ValidateTopics([]string{name + "/#"}) != nil {
		return wrong("name", "A device has the topics NAME/#, and those of %q are not for a device. Choose another name, such as garden.", name)
	}
	c.Roles, c.Topics = &[]string{"device"}, &[]string{name + "/#"}
	return nil
}

// create makes a user, with a password that the box makes if c has none.
func (s *Server) create(r *request, name string, c userChange) (userAnswer, error) {
	if c.Roles == nil && c.Topics == nil && c.Page == nil {
		if err := s.device(name, &c); err != nil {
			return userAnswer{}, err
		}
	}
	c.Generate = c.Password == nil
	if err := s.check(&c); err != nil {
		return userAnswer{}, err
	}
	u := access.User{Name: name}
	c.apply(&u)
	var made userAnswer
	secret := s.secret(&c, &made.Password)
	if c.SCRAM {
		var err error
		if u.SCRAM, err = access.NewSCRAM(secret); err != nil {
			return userAnswer{}, err
		}
	}
	ctx, cancel := lasting(r)
	defer cancel()
	s.changing.Lock()
	defer s.changing.Unlock()
	if err := s.o.Users.Create(ctx, u, secret); err != nil {
		return userAnswer{}, err
	}
	s.note(r, access.UserAdded, name, "")
	u, _ = s.o.Users.Get(name)
	made.User = userOf(u)
	return made, nil
}

// change changes a user.
func (s *Server) change(r *request, name string, c userChange) (userAnswer, error) {
	if err := s.check(&c); err != nil {
		return userAnswer{}, err
	}
	ctx, cancel := lasting(r)
	defer cancel()
	s.changing.Lock()
	defer s.changing.Unlock()
	u, ok := s.o.Users.Get(name)
	if !ok {
		return userAnswer{}, access.ErrNoUser
	}
	c.apply(&u)
	if (u.Disabled || u.Page != access.Admin) && s.lastAdmin(name) {
		return userAnswer{}, errLastAdmin
	}
	if c.Roles != nil || c.Topics != nil || c.Page != nil || c.Disabled != nil {
		if err := s.o.Users.Update(ctx, name, c.apply); err != nil {
			return userAnswer{}, err
		}
	}
	what := ""
	var made userAnswer
	if c.Password != nil || c.Generate {
		if err := s.setPassword(ctx, name, s.secret(&c, &made.Password), c.SCRAM); err != nil {
			return userAnswer{}, err
		}
		what = ", password too"
	}
	s.note(r, access.UserChanged, name, "%s", what)
	u, _ = s.o.Users.Get(name)
	made.User = userOf(u)
	return made, nil
}

// secret returns the password of a change, which the box makes if there is none.
func (s *Server) secret(c *userChange, generated *string) []byte {
	if c.Password != nil {
		return []byte(*c.Password)
	}
	*generated = s.o.Users.Generate()
	return []byte(*generated)
}

// setPassword sets a password and ends the sessions of the user.
func (s *Server) setPassword(ctx context.Context, name string, password []byte, withSCRAM bool) error {
	if err := s.o.Users.SetPassword(ctx, name, password); err != nil {
		return err
	}
	if withSCRAM {
		text, err := access.NewSCRAM(password)
		if err == nil {
			err = s.o.Users.Update(ctx, name, func(u *access.User) { u.SCRAM = text })
		}
		if err != nil {
			return err
		}
	}
	return s.o.Sessions.EndUser(ctx, name) // they have ended already, and are cleared away
}

// remove deletes a user.
func (s *Server) remove(r *request, name string) error {
	ctx, cancel := lasting(r)
	defer cancel()
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.lastAdmin(name) {
		return errLastAdmin
	}
	if err := s.o.Users.Delete(ctx, name); err != nil {
		return err
	}
	s.note(r, access.UserDeleted, name, "")
	return s.o.Sessions.EndUser(ctx, name)
}

var errLastAdmin = problemf(http.StatusConflict, "page", "This is the last admin of the pages who can log in. Make somebody else admin first.")

// lastAdmin reports whether nobody but this user may change users. Called with
// changing held.
func (s *Server) lastAdmin(name string) bool {
	isAdmin := func(name string) bool {
		u, ok := s.o.Users.Get(name)
		return ok && u.Page == access.Admin && !u.Disabled && u.Hash != ""
	}
	return isAdmin(name) && !slices.ContainsFunc(s.o.Users.All(), func(u access.User) bool { return u.Name != name && isAdmin(u.Name) })
}

// The JSON API.

// userAnswer is a user after a change.
type userAnswer struct {
	User     User   `json:"user"`
	Password string `json:"password,omitempty"` // that the box has made; nobody can see it again
}

// userList is what GET /api/users tells.
type userList struct {
	Users []User `json:"users"`
}

// userRequest is what makes a user. One of whom no more is said than the name is a device.
type userRequest struct {
	Name string `json:"name" api:"required"`
	userChange
}

func (s *Server) listUsers(*request) (userList, error) {
	list := userList{Users: []User{}}
	for _, u := range s.o.Users.All() {
		list.Users = append(list.Users, userOf(u))
	}
	return list, nil
}

func (s *Server) showUser(r *request) (userAnswer, error) {
	u, ok := s.o.Users.Get(r.PathValue("name"))
	if !ok {
		return userAnswer{}, access.ErrNoUser
	}
	return userAnswer{User: userOf(u)}, nil
}

func (s *Server) addUser(r *request, in userRequest) (userAnswer, error) {
	return s.create(r, in.Name, in.userChange)
}

func (s *Server) changeUser(r *request, in userChange) (userAnswer, error) {
	return s.change(r, r.PathValue("name"), in)
}

func (s *Server) deleteUser(r *request) error { return s.remove(r, r.PathValue("name")) }

// importedUsers are those of a file.
type importedUsers struct {
	Imported []string `json:"imported"` // their names
}

// importUsers takes a password file of mosquitto. Its users get the roles that the
// query names; without one they are let in and may do nothing. Who is there already is
// not changed by a file: it would take the pages from an admin.
func (s *Server) importUsers(r *request) (importedUsers, error) {
	names, err := s.importFile(r)
	return importedUsers{names}, err
}

func (s *Server) importFile(r *request) (names []string, err error) {
	text, err := io.ReadAll(r.Body)
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(large)
	}
	if err != nil {
		return nil, wrong("", "The file could not be read: %v.", err)
	}
	roles := r.URL.Query()["role"]
	if err := s.check(&userChange{Roles: &roles}); err != nil {
		return nil, err
	}
	users, err := access.ImportMosquitto("passwords", text)
	if err != nil {
		return nil, wrong("", "%v.", err)
	}
	ctx, cancel := lasting(r)
	defer cancel()
	s.changing.Lock()
	defer s.changing.Unlock()
	names = []string{}
	for i, u := range users {
		if _, ok := s.o.Users.Get(u.Name); ok {
			return nil, problemf(http.StatusConflict, "", "There is a user %q already: delete it, or take it out of the file.", u.Name)
		}
		users[i].Roles = roles
		names = append(names, u.Name)
	}
	err = s.o.Users.Import(ctx, users)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, problemf(http.StatusServiceUnavailable, "", "These are too many passwords to hash here. Let mosquitto_passwd -U do it in the file, and send it again.")
	}
	if err != nil {
		return nil, err
	}
	s.note(r, access.UserAdded, "", ", %d from a password file", len(users))
	return names, nil
}
