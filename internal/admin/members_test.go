package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
)

func (n *fakeNode) Members(context.Context) (*MemberList, error) { return &n.members, nil }
func (n *fakeNode) Operate(_ context.Context, operation string, r *MemberRequest) error {
	text, err := json.Marshal(r)
	n.asked = append(n.asked, operation+" "+string(text))
	return errors.Join(n.refuses, err)
}

// TestMemberOperations: what goes in at the client comes out at the node, and a refusal
// comes back.
func TestMemberOperations(t *testing.T) {
	n := &fakeNode{members: MemberList{Version: 3, Members: []MemberInfo{{ID: 0, Host: "a", LogPort: 1}, {ID: 1, Host: "b", LogPort: 2, Retired: true}}}}
	addr := serve(t, n)
	var client Client
	defer client.Close()
	id := 1
	for _, operation := range memberOperations {
		list, err := client.Operate(t.Context(), addr, operation, &MemberRequest{ID: &id, Host: "c", Force: true})
		if err != nil || list.Version != 3 || len(list.Members) != 2 || !list.Members[1].Retired {
			t.Errorf("%s: %+v, %v", operation, list, err)
		}
		if want := operation + ` {"id":1,"host":"c","force":true}`; n.asked[len(n.asked)-1] != want {
			t.Errorf("asked %q, want %q", n.asked[len(n.asked)-1], want)
		}
	}
	if list, err := client.Members(t.Context(), addr); err != nil || len(list.Members) != 2 {
		t.Errorf("members are %+v, %v", list, err)
	}
	n.refuses = &RefusedError{Reason: "server 1 is no learner"}
	_, err := client.Operate(t.Context(), addr, MemberPromote, &MemberRequest{ID: &id})
	if refusal := (*RefusedError)(nil); !errors.As(err, &refusal) || refusal.Reason != "server 1 is no learner" || refusal.Forbidden {
		t.Errorf("a refusal comes back as %v", err)
	}
	n.refuses = errors.New("no leader")
	_, err = client.Operate(t.Context(), addr, MemberPromote, &MemberRequest{ID: &id})
	if refusal := (*RefusedError)(nil); errors.As(err, &refusal) || err == nil || err.Error() != "no leader" {
		t.Errorf("a failure comes back as %v", err)
	}
}

func TestMemberRequestsAreChecked(t *testing.T) {
	n := &fakeNode{refuses: &RefusedError{Reason: "no"}}
	url := "http://" + serve(t, n)
	tool := map[string]string{"Content-Type": "application/json"}
	for _, c := range []struct {
		method, path, body string
		header             map[string]string
		code               int
		want               string
	}{
		{"POST", "/members/add", "{", tool, http.StatusBadRequest, "the body is no request for a member"},
		{"POST", "/members/add", `{"id": 1, "hots": "x"}`, tool, http.StatusBadRequest, `unknown field "hots"`},
		{"POST", "/members/add", `{}`, tool, http.StatusBadRequest, "name the server by its id"},
		{"POST", "/members/transfer", `{}`, tool, http.StatusConflict, "no"},
		{"POST", "/members/remove", `{"id": 1}`, nil, http.StatusUnsupportedMediaType, "application/json"},
		{"GET", "/members/remove", "", nil, http.StatusNotFound, "there is no"},
		{"POST", "/members/grow", "{}", tool, http.StatusMethodNotAllowed, ""},
	} {
		code, body := ask(t, c.method, url+c.path, c.header, c.body)
		if code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s %s %s: %d %q, want %d %q", c.method, c.path, c.body, code, body, c.code, c.want)
		}
	}
	if len(n.asked) != 1 {
		t.Errorf("asked the node for %q", n.asked)
	}
}
