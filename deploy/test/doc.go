// Package test checks the packages in deploy: the Dockerfile, compose.yaml and the Helm
// chart. It is a module of its own, so that the product needs none of what parses them.
//
// Read first: image_test.go, which makes the file system of the image by the steps of the
// Dockerfile; container_test.go, which runs such an image as a container without an engine, in
// a network namespace and below a root of its own; then compose_test.go and pods_test.go, which
// take what runs in them from compose.yaml and from the rendered chart.
package test
