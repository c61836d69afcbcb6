// Package auth holds the users who may use the cache, their passwords, and what they may
// do, from a file in the format of memcached -Y with one addition.
//
// Read first: File. The names of files cross the border, users and passwords as bytes,
// which are not kept, and what a user may do as data that never changes.
//
// Any goroutine may use a File. Reloading it does not make the others wait.
//
// # The file
//
//	one line for each user                 USER:PASSWORD\n
//	if some may not do everything          [access]\n
//	and one line for each of these         USER: [read-only] [prefix=PREFIX]...\n
//
// A user contains no colon. A password ends at the end of its line, which may be
// "\r\n", and may contain colons. As in memcached, a line of a user has up to 254 bytes
// and a file up to 8 users. More is an error here; memcached truncates it.
//
// A user without a line after [access] may do everything. One with read-only changes
// nothing, and one with prefixes uses only keys that begin with one of them. Words are
// separated by blanks, so a prefix has none. Empty lines after [access] do not count.
//
// Every line with a colon is a user and a password in memcached, whatever it looks like,
// so limits cannot stand there. [access] has none: memcached does not start with such a
// file, and no user gets more than the file says.
package auth
