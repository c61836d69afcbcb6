package engine

import "container/heap"

// queue is the order in which items were stored, the oldest first. Overwriting
// a key stores it anew; touching it does not.
type queue struct{ root item }

func (q *queue) init() { q.root.prev, q.root.next = &q.root, &q.root }

// oldest returns the first item, or nil.
func (q *queue) oldest() *item {
	if q.root.next == &q.root {
		return nil
	}
	return q.root.next
}

func (q *queue) push(it *item) {
	it.prev, it.next = q.root.prev, &q.root
	it.prev.next, it.next.prev = it, it
}

func (q *queue) remove(it *item) {
	it.prev.next, it.next.prev = it.next, it.prev
	it.prev, it.next = nil, nil
}

// swap puts it in the place of old.
func (q *queue) swap(old, it *item) {
	it.prev, it.next = old.prev, old.next
	it.prev.next, it.next.prev = it, it
	old.prev, old.next = nil, nil
}

// expiryHeap holds the items that expire, the soonest first. The order number
// decides between equals, so that the order does not depend on how the heap came
// about.
type expiryHeap []*item

func (h expiryHeap) Len() int { return len(h) }
func (h expiryHeap) Less(i, j int) bool {
	return h[i].expiryMs < h[j].expiryMs || h[i].expiryMs == h[j].expiryMs && h[i].order < h[j].order
}

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapAt, h[j].heapAt = i, j
}

func (h *expiryHeap) Push(x any) {
	it := x.(*item)
	it.heapAt = len(*h)
	*h = append(*h, it)
}

func (h *expiryHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.heapAt = -1
	return it
}

func (h *expiryHeap) add(it *item) {
	if it.expiryMs != 0 {
		heap.Push(h, it)
	}
}

func (h *expiryHeap) drop(it *item) {
	if it.heapAt >= 0 {
		heap.Remove(h, it.heapAt)
	}
}
