// Package page is what an admin port shows in a browser: one page, and the stream of what
// it shows.
//
//	GET /         index.html, with page.js, page.css and icon.svg
//	GET /events   server-sent events: an overview.Snapshot as JSON, once a second
//
// The page asks no other host for anything, and changes nothing. All that it shows of keys,
// names and errors it shows as text: the Content-Security-Policy has the browser refuse
// anything else.
//
// Read first: Page. It asks the servers once a second as long as somebody watches, once for
// all who do, and nobody otherwise.
//
// All methods may be called from any goroutine.
package page
