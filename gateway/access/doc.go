// Package access answers who somebody is and what they may do. The broker and the
// pages ask it; package gateway joins it to them. It imports the store and the words
// of MQTT, never the broker.
//
// # Who is it
//
// [Control] turns what somebody shows, a [Login], into an [Identity]: a certificate
// that [ClientCertificates] has verified, a token for [JWT], a user name and a
// password for [Users], or the messages of SCRAM-SHA-256. Who shows nothing has the role of
// the listener, if that has one. There is no default password: until the box has an
// owner ([Claim]) nobody is let in but by such a listener.
//
// A login ends in one of three ways: with an Identity, with a [*Refused], which is
// definite, or with any other error, which leaves the question open. MQTT clients take
// a refusal for good, Home Assistant above all, so whatever is in doubt is left open: the
// store fails, too many wait, somebody has to wait ([Lockout]), keys are not loaded, the
// clock is not known.
//
// Passwords are kept as argon2id. A check takes 19 MiB and tens of milliseconds, so
// there are two at a time at most, and one that succeeded is remembered in memory: a
// house that comes back after a power cut costs one check for each user. An unknown
// user costs as much as a wrong password.
//
// A program that has none of these gets a login for a code that a person reads on the
// pages ([Pairing]). The code is in memory only.
//
// # What may they do
//
// A [Policy] is the roles of a file and the built-in ones, compiled. [Policy.Permit]
// answers for an identity, an action and a topic; the answer is allowed, denied, or depends
// on the message. [Policy.Explain] says why in words. Of the rules that match the
// first one decides, and without one the answer is no. A subscription is allowed by a
// rule that covers all of it; what it brings is asked about topic by topic, so that
// nothing denied is delivered by a filter that is wider than the rule.
//
// # Where it is kept
//
// What a person wants is in files: the configuration and the role file that it names, whose
// form parseRoles describes. A mistake there is refused with its line, and what was in force
// stays so. Beside a role file FILE are its nine versions before, FILE.before, FILE.before.2 and
// so on, and the JSON schemas that it names. The box's own certificate authority is a folder of
// files, see [Authority].
//
// What the box knows is in buckets of the store, bounded in number, values as JSON:
//
//	bucket                 key                           value
//	access.users           name                          a User, and the import that brought them
//	access.imports         id                            when an import began that has not ended
//	access.claim           "claim"                       whether the box has an owner, and its name
//	access.sessions        SHA-256 of the token in hex   user, digest of the hash of their password, ages
//	access.sessions.clock  "ran"                         nanoseconds that the house has run
//	access.tokens          name                          an APIToken, and the SHA-256 of its secret in hex
//	access.audit           number of a page, 20 digits   20 Events at most
//	access.observed        user                          what they were Observed to do
//	access.roles           "roles"                       text of the role file that is in force
//	access.scram           "secret"                      32 bytes, from which the salts of nobody are made
//
// Of secrets that were handed out the store holds hashes alone, but for those of
// SCRAM, which are as good as a weak hash and are made on request only. A hash is text as in
// crypt(3): $argon2id$ as PHC strings have it; an imported one may be another of those that
// password.go lists, until its user logs in.
package access
