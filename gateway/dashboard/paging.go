package dashboard

import (
	"net/url"
	"strconv"
	"strings"
)

const maxSearch = 100 // bytes

// paging leads through a list. The template of that name shows it.
type paging struct {
	Query          string // what is searched for
	Page, Pages    int    // from 1
	Count          int    // rows that there are of it
	Previous, Next string // where the pages beside this one are; empty: there is none
}

// pageOf returns a page of a list: the one that is asked for, or the nearest that there is.
func pageOf[T any](rows []T, page, each int) ([]T, paging) {
	p := paging{Count: len(rows), Pages: max(1, (len(rows)+each-1)/each)}
	p.Page = min(max(page, 1), p.Pages)
	from := (p.Page - 1) * each
	return rows[from:min(from+each, len(rows))], p
}

// pageFor returns the page of a list that ?page= asks for.
func pageFor[T any](r *request, rows []T, each int) ([]T, paging) {
	rows, p := pageOf(rows, askedPage(r), each)
	p.lead(r)
	return rows, p
}

func askedPage(r *request) int {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	return page
}

// lead leads to the pages beside the one of a request.
func (p *paging) lead(r *request) {
	q := r.URL.Query()
	at := func(page int) string {
		if page < 1 || page > p.Pages {
			return ""
		}
		q.Set("page", strconv.Itoa(page))
		return (&url.URL{Path: r.URL.Path, RawQuery: q.Encode()}).String()
	}
	p.Query, p.Previous, p.Next = searched(r), at(p.Page-1), at(p.Page+1)
}

// searched is what ?q= searches for.
func searched(r *request) string { return cut(strings.TrimSpace(r.URL.Query().Get("q")), maxSearch) }

// contains reports whether one of several texts has a text in it, in letters of any case.
func contains(part string, texts ...string) bool {
	part = strings.ToLower(part)
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), part) {
			return true
		}
	}
	return false
}

// filter returns the rows that are to be kept.
func filter[T any](rows []T, keep func(*T) bool) []T {
	var kept []T
	for i := range rows {
		if keep(&rows[i]) {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
