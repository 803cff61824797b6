// Package jinja parses templates as Home Assistant writes them: Jinja 3, with the
// filters and tests that Home Assistant adds. Package judge asks whether a template
// compiles; package fakehome evaluates the tree.
//
// # Contract
//
// [Parse] is pure and takes any bytes. Expressions are nested no deeper than 100; a
// tree may be as deep as its template is long, so whoever walks one bounds the text.
package jinja
