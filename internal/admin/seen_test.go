package admin

import "testing"

// TestWhatWasSeen: the client reads what the port tells.
func TestWhatWasSeen(t *testing.T) {
	addr := serve(t, &fakeNode{})
	figured := serve(t, &fakeNode{status: Status{StatusVersion: StatusVersion}})
	var c Client
	defer c.Close()
	if h, err := c.HotKeys(t.Context(), addr); err != nil || h.ID != 1 || !h.Counted || len(h.Keys) != 1 || h.Keys[0] != (HotKey{Key: "k", Reads: 2, Writes: 1}) {
		t.Errorf("hot keys %+v, %v", h, err)
	}
	if s, err := c.StatusWithFigures(t.Context(), figured); err != nil || s.Figures == nil || s.Figures.Reads != 7 {
		t.Errorf("status with figures %+v, %v", s, err)
	}
	if s, err := c.Status(t.Context(), figured); err != nil || s.Figures != nil {
		t.Errorf("status without figures %+v, %v", s, err)
	}
	if s, err := c.Slow(t.Context(), addr); err != nil || len(s.Commands) != 1 || s.Commands[0].Command != "set" || s.Commands[0].Ms != 100 {
		t.Errorf("slow commands %+v, %v", s, err)
	}
}
