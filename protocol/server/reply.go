package server

import "raftcached/protocol"

// The functions of this file append replies to those of the connection's turn.

// reply appends a complete reply line.
func (c *conn) reply(line string) { c.out.replies = append(c.buffer(), line...) }

// replyText appends a packet with a text, such as version.
func (c *conn) replyText(req *protocol.Request, text string) {
	c.out.replies = protocol.AppendText(c.buffer(), &req.Form, text)
}

// confirm answers a request that has been carried out: with line in Text and
// Meta, with a packet around text in Binary. A request that wants no answer gets
// none.
func (c *conn) confirm(req *protocol.Request, line, text string) {
	switch {
	case req.NoReply:
	case req.Form.Codec != protocol.Binary:
		c.reply(line)
	case !req.Form.Quiet:
		c.replyText(req, text)
	}
}

// refuse answers a request that is not carried out: with line in Text and Meta,
// with the packet of the status in Binary.
func (c *conn) refuse(req *protocol.Request, line string, s protocol.Status) {
	if !req.NoReply {
		c.replyInvalid(&protocol.Request{Form: req.Form, Reply: line, Status: s})
	}
}

// replyInvalid answers a request that is Invalid.
func (c *conn) replyInvalid(req *protocol.Request) {
	c.out.replies = protocol.AppendInvalid(c.buffer(), req)
}

// fail answers a request that is not carried out with the error of its command.
func (c *conn) fail(req *protocol.Request, s protocol.Status) {
	if !req.NoReply {
		c.out.replies = protocol.AppendAnswer(c.buffer(), req.Command, &req.Form, &protocol.Result{Status: s})
	}
}

// replyStats answers with statistics.
func (c *conn) replyStats(req *protocol.Request, list protocol.StatList) {
	c.out.replies = protocol.AppendStats(c.buffer(), &req.Form, list)
}

// confirmStats answers a stats command that reports nothing. Binary has no line
// for that, and gets an empty list.
func (c *conn) confirmStats(req *protocol.Request, line string) {
	if req.Form.Codec == protocol.Binary {
		c.replyStats(req, nil)
	} else {
		c.reply(line)
	}
}

// outOfMemory answers a get or gat whose client leaves too much unread.
const outOfMemory = "SERVER_ERROR out of memory writing get response\r\n"

// resultFull answers a write whose value the client has no room for.
var resultFull = protocol.Result{Status: protocol.StatusOutOfMemory}

// hasBlocks reports whether a command is answered with a VALUE block for each key, and END.
func hasBlocks(c protocol.Command) bool {
	return c == protocol.Get || c == protocol.Gets || c == protocol.Gat || c == protocol.Gats
}

// answerWrite appends the reply to one operation of the write of w, its last one
// if last is set, in the form f of the write.
func (c *conn) answerWrite(w *writeWaiter, f *protocol.Form, r *protocol.Result, last bool) {
	if w.noReply {
		return
	}
	full := len(r.Value) > 0 && c.out.waiting+len(c.out.replies)+len(r.Value) > outboundHardBytesMax
	switch {
	case !hasBlocks(w.command):
		if full {
			r = &resultFull
		}
		c.out.replies = protocol.AppendAnswer(c.buffer(), w.command, f, r)
	case w.failed:
		// Its one error line is written.
	case r.Status != protocol.StatusHit && r.Status != protocol.StatusMiss:
		w.failed = true
		c.out.replies = protocol.AppendAnswer(c.buffer(), w.command, f, r)
	case full:
		w.failed = true
		c.reply(outOfMemory)
	default:
		c.out.replies = protocol.AppendAnswer(c.buffer(), w.command, f, r)
		if last && !w.more {
			c.reply(protocol.ReplyEnd)
		}
	}
	if last && w.more {
		c.gatFailed = w.failed
	}
	if len(c.out.replies) >= outChunkBytes {
		c.flush()
	}
}
