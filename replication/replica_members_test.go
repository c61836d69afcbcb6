package replication

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestReplicaChangesMembers: a change is there when Change returns, a refusal tells
// why, and who does not wait gets no answer.
func TestReplicaChangesMembers(t *testing.T) {
	r := startLone(t, newSimMachine(), waitingClient{make(chan []Answer, 1)})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	prepare := MemberChange{Kind: ChangePrepare, ServerID: 7, Host: "new", LogPort: 7007}
	if err := r.Change(ctx, prepare); err != nil { // it does not lead yet, perhaps
		t.Fatal(err)
	}
	if got, want := describeMembers(r.Members()), "0/1, 7/0 awaited; [1] vote"; got != want {
		t.Fatalf("members are %s, want %s", got, want)
	}
	if err := r.Change(ctx, prepare); err == nil || !strings.HasPrefix(err.Error(), "server 7 is a member already") {
		t.Fatalf("a second time: %v", err)
	}
	if err := r.Change(ctx, MemberChange{Kind: ChangeRemove, ServerID: 0}); err == nil {
		t.Fatal("the only voter is removed")
	}
	if err := r.Transfer(ctx, 0); err != nil {
		t.Fatalf("to the leader: %v", err)
	}
	if err := r.Transfer(ctx, AnyServer); err == nil || err.Error() != "no other server with a vote can be reached" {
		t.Fatalf("to any other server: %v", err)
	}
	if err := r.Transfer(ctx, 7); err == nil || err.Error() != "server 7 is no member, or its data folder is awaited" {
		t.Fatalf("to an awaited server: %v", err)
	}
	cancel()
	if err := r.Change(ctx, MemberChange{Kind: ChangeRemove, ServerID: 7}); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
