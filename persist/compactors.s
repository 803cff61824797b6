// The compiler takes functions without a body, as in compactors.go, only in a package that
// has assembly.
