// Package auth holds the users who may use the cache, and their passwords, from a
// file in the format of memcached -Y.
//
// Read first: File. The names of files cross the border, and users and passwords
// as bytes, which are not kept.
//
// Any goroutine may use a File. Reloading it does not make the others wait.
//
// # The file
//
//	one line for each user    USER:PASSWORD\n
//
// A user contains no colon. A password ends at the end of its line, which may be
// "\r\n", and may contain colons. As in memcached, a line has up to 254 bytes and a
// file up to 8 users. More is an error here; memcached truncates it.
package auth
