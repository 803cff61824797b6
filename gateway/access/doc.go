// Package access answers who somebody is and what they may do. Broker and pages
// both ask it.
package access
