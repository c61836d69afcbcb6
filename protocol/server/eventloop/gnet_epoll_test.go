package eventloop

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/panjf2000/gnet/v2"
)

// gnetOfAnotherLayout are event loops that lack what pausing needs.
type (
	loopWithoutPoller struct{ gnet.EventLoop }
	loopWithValue     struct {
		gnet.EventLoop
		poller int //nolint:unused // read by reflection
	}
	loopWithoutFD struct {
		gnet.EventLoop
		poller *bytes.Buffer
	}
)

func TestUnknownLayoutOfGnetIsAnError(t *testing.T) {
	for _, el := range []gnet.EventLoop{loopWithoutPoller{}, &loopWithoutPoller{}, &loopWithValue{}, &loopWithoutFD{}, &loopWithoutFD{poller: &bytes.Buffer{}}} {
		if fd, err := epollDescriptor(el); err == nil || !strings.Contains(err.Error(), "gnet") {
			t.Errorf("%v: descriptor %d, error %v", reflect.TypeOf(el), fd, err)
		}
	}
}
