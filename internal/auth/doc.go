// Package auth keeps who may use the cache: users and passwords, from a file as
// memcached -Y reads it.
//
// Read first: File. What crosses the border are the names of files, and users and
// passwords as bytes, which are not kept.
//
// Any goroutine may ask a File; whoever reloads it does not make them wait.
//
// # The file
//
//	one line for each user    USER:PASSWORD\n
//
// A user has no colon. A password ends at the end of its line, "\r\n" too, and may
// hold colons. A line holds up to 254 bytes, and a file up to 8 users, as in
// memcached; more is refused here, where memcached cuts it short.
package auth
