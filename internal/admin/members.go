package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Members is the part of a Node that operations on the members need.
type Members interface {
	// Members returns who belongs to the cluster, as the node has applied it.
	Members(ctx context.Context) (*MemberList, error)
	// Operate does one of the operations. It may take as long as a request may. A
	// *RefusedError says that it would not help to try again.
	Operate(ctx context.Context, operation string, r *MemberRequest) error
}

// The operations on members.
const (
	MemberAdd      = "add"      // a server is awaited
	MemberReplace  = "replace"  // its data folder is retired, another one is awaited
	MemberRemove   = "remove"   // it is no member any more
	MemberPromote  = "promote"  // a read replica gets a vote
	MemberMove     = "move"     // it has other addresses
	MemberTransfer = "transfer" // it leads
	MemberLeases   = "leases"   // of no server: which ones may answer reads without asking the others
)

var memberOperations = []string{MemberAdd, MemberReplace, MemberRemove, MemberPromote, MemberMove, MemberTransfer, MemberLeases}

// MemberRequest is what an operation is to do. What is zero stays as it is, or is as
// at the server that is asked.
type MemberRequest struct {
	ID      *int   `json:"id,omitempty"` // absent, for MemberTransfer: the most advanced voter; absent for MemberLeases
	Host    string `json:"host,omitempty"`
	Port    int    `json:"port,omitempty"` // for clients
	LogPort int    `json:"logPort,omitempty"`
	Learner bool   `json:"learner,omitempty"` // MemberAdd: a read replica
	Force   bool   `json:"force,omitempty"`   // even if too few voters can be reached then
	Leases  string `json:"leases,omitempty"`  // MemberLeases: off, leader or all
}

// MemberList is the members as of one version, which counts their changes.
type MemberList struct {
	Version uint64       `json:"version"`
	Leases  string       `json:"leases,omitempty"` // off, leader or all
	Members []MemberInfo `json:"members"`
}

// MemberInfo is one member: a data folder, or the place of one that is awaited. A
// server has two of them while it is replaced.
type MemberInfo struct {
	ID      int    `json:"id"`
	Folder  string `json:"folder,omitempty"` // of the data folder, 32 hexadecimal digits; absent: it is awaited
	Host    string `json:"host"`
	Port    int    `json:"port,omitempty"` // for clients; absent: unknown
	LogPort int    `json:"logPort"`
	Learner bool   `json:"learner,omitempty"` // it has no vote
	Stays   bool   `json:"stays,omitempty"`   // and is not to get one
	Retired bool   `json:"retired,omitempty"` // its folder is never heard again
}

func (s *Server) members(w http.ResponseWriter, r *http.Request) {
	list, err := s.node.Members(r.Context())
	if err != nil {
		answer(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	writeMembers(w, list)
}

func writeMembers(w http.ResponseWriter, list *MemberList) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(list) // the client may be gone
}

// operate returns the handler of an operation. It answers with the members after it.
func (s *Server) operate(operation string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request MemberRequest
		body := json.NewDecoder(r.Body)
		body.DisallowUnknownFields()
		if err := body.Decode(&request); err != nil {
			answer(w, http.StatusBadRequest, fmt.Sprintf("the body is no request for a member: %v", err))
			return
		}
		if request.ID == nil && operation != MemberTransfer && operation != MemberLeases {
			answer(w, http.StatusBadRequest, "name the server by its id")
			return
		}
		err := s.node.Operate(r.Context(), operation, &request)
		var refusal *RefusedError
		switch {
		case errors.As(err, &refusal):
			answer(w, http.StatusConflict, refusal.Reason)
		case err != nil:
			answer(w, http.StatusServiceUnavailable, err.Error())
		default:
			s.members(w, r)
		}
	}
}

// Members asks the admin port at host:port who belongs to the cluster.
func (c *Client) Members(ctx context.Context, addr string) (*MemberList, error) {
	body, err := c.get(ctx, addr, "/members")
	if err != nil {
		return nil, err
	}
	return readMembers(addr, body)
}

// Operate has the server at host:port do an operation, and returns the members after
// it. A *RefusedError says that it would not help to try again there.
func (c *Client) Operate(ctx context.Context, addr, operation string, r *MemberRequest) (*MemberList, error) {
	resp, err := c.post(ctx, addr, "/members/"+operation, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, statusBytesMax))
	if err != nil {
		return nil, err
	}
	return readMembers(addr, body)
}

func readMembers(addr string, body []byte) (*MemberList, error) {
	var list MemberList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("%s answers something else than the members: %w", addr, err)
	}
	return &list, nil
}
