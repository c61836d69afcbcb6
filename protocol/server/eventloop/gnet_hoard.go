package eventloop

import "syscall"

const (
	// hoardMin is the size of input from which a connection keeps it in a hoard: more
	// than a connection has whose requests wait, so it is that of one large request.
	hoardMin = 128 << 10

	// hoardSpareMax is the largest memory that a loop keeps for the next hoard.
	hoardSpareMax = 2 << 20
)

// hoard is the input of a large request that is not complete. gnet would keep it in a
// ring of twice the size, which is copied to be looked at, and is given back to the
// system when the garbage collector has run twice. A hoard is mapped memory: its pages
// are there when they are written to, and are gone when the request is done with. If more
// input follows at once, it stays in the hoard: what a large request took beyond hoardMin
// is given back when none has come after it.
type hoard struct {
	memory []byte // mapped; nil: none
	n      int    // of it in use
	wide   bool   // there may be pages beyond hoardMin
}

func (h *hoard) bytes() []byte { return h.memory[:h.n] }

// room makes room for n bytes more, and returns it.
func (h *hoard) room(n int, l *gnetLoop) ([]byte, error) {
	if need := h.n + n; need > len(h.memory) {
		size := 2 * hoardMin
		for size < need {
			size *= 2
		}
		memory, err := l.mapMemory(size)
		if err != nil {
			return nil, err
		}
		copy(memory, h.bytes())
		l.unmap(h.memory)
		h.memory = memory
	}
	h.wide = h.wide || h.n+n > hoardMin
	return h.memory[h.n : h.n+n], nil
}

// discard drops the first n bytes, and the memory with the last one.
func (h *hoard) discard(n int, l *gnetLoop) {
	if n < h.n {
		large := h.n > hoardMin
		h.n = copy(h.memory, h.memory[n:h.n])
		if h.wide && !large {
			h.narrow()
		}
		return
	}
	l.unmap(h.memory)
	*h = hoard{}
}

// narrow gives the pages beyond hoardMin back to the system. A client that sends large
// requests one after the other without a pause does not get here between two of them.
func (h *hoard) narrow() {
	_ = syscall.Madvise(h.memory[hoardMin:], syscall.MADV_DONTNEED) // it fails only for what is not mapped
	h.wide = false
}

// leave drops all when the connection closes, or gnet's part of it does. The handler may
// be at work on the input, so the memory goes when the events at hand are over.
func (h *hoard) leave(l *gnetLoop) {
	if memory := h.memory; memory != nil {
		l.Post(func() { l.unmap(memory) })
	}
	*h = hoard{}
}

// mapMemory returns memory of a size at least, zero or not.
func (l *gnetLoop) mapMemory(size int) ([]byte, error) {
	if memory := l.spare; len(memory) >= size {
		l.spare = nil
		return memory, nil
	}
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

// unmap gives memory back to the system, or keeps it for the next hoard. nil is none.
func (l *gnetLoop) unmap(memory []byte) {
	switch {
	case memory == nil:
	case l.spare == nil && len(memory) <= hoardSpareMax:
		l.spare = memory
	default:
		_ = syscall.Munmap(memory) // it fails only for what was not mapped
	}
}

// keepInput moves what gnet has of a large request, or all that follows it, to the
// hoard.
func (c *gnetConn) keepInput() {
	n := c.socket.InboundBuffered()
	if n == 0 || c.hoard.n == 0 && n <= hoardMin {
		return
	}
	room, err := c.hoard.room(n, c.loop)
	if err != nil {
		c.engine.refusals.Error("no memory for a request", "remote", c.remote, "bytes", c.hoard.n+n, "error", err)
		c.Close()
		return
	}
	got, _ := c.socket.Read(room) // it fails only if there is nothing
	c.hoard.n += got
}
