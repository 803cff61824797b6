package access

import (
	"errors"
	"fmt"
	"strings"
)

// maxPasswordFile is what 2000 users with long names and the longest hashes need, and
// as much again for comments.
const maxPasswordFile = 2 << 20 // bytes

// ImportMosquitto reads a password file of mosquitto, which name is the name of, for
// [Users.Import]. The hashes of mosquitto_passwd are read, argon2id and bcrypt too;
// anything that does not look like a hash is a password, as in the files that mosquitto_passwd -U
// takes. The users have neither roles nor topics. The error has a line for each
// mistake, NAME:LINE: REASON; then there are no users.
func ImportMosquitto(name string, text []byte) ([]User, error) {
	if len(text) > maxPasswordFile {
		return nil, fmt.Errorf("%s: a password file has at most %d bytes: take one that has the users alone", name, maxPasswordFile)
	}
	var users []User
	var mistakes []error
	first := make(map[string]int) // line
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		user, err := mosquittoUser(strings.TrimRight(line, "\r\n"))
		switch {
		case err == nil && user.Name == "":
			continue
		case err == nil && first[user.Name] > 0:
			err = fmt.Errorf("the user %q is in line %d already", user.Name, first[user.Name])
		case err == nil && len(users) == maxUsers:
			err = tooMany
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s:%d: %w", name, number, err))
			continue
		}
		first[user.Name] = number
		users = append(users, user)
	}
	if err := listMistakes(mistakes); err != nil {
		return nil, err
	}
	return users, nil
}

// mosquittoUser reads a line; one that is empty or a comment is nobody.
func mosquittoUser(line string) (user User, err error) {
	if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
		return User{}, nil
	}
	name, password, ok := strings.Cut(line, ":")
	user.Name = strings.TrimSpace(name) // mosquitto does so too
	if !ok {
		return User{}, errors.New("there is no colon: a line is NAME:HASH")
	}
	if reason := userNameMistake(user.Name); reason != "" {
		return User{}, errors.New(reason)
	}
	password = strings.TrimSpace(password)
	switch {
	case password == "":
		return User{}, errors.New("there is no password: set one or remove the line")
	case looksHashed(password):
		user.Hash = password
		_, err := parseHash(password)
		return user, err
	case strings.Contains(password, ":"):
		return User{}, errors.New("there is more than one colon, and mosquitto takes what is before the second: set a password without")
	}
	user.plain = []byte(password)
	return user, validatePassword(user.plain)
}
