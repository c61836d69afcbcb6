package hitratio

import (
	"context"
	"errors"
	"fmt"
)

// Servers is a cache of real servers: memcached, which receives all batches of a round,
// or the nodes of a cluster, which receive one batch each.
type Servers struct {
	clients []*client // one for each server
	missed  [Nodes][]uint32
}

// Dial connects to one server, or to Nodes of them.
func Dial(ctx context.Context, items Items, addrs []string) (*Servers, error) {
	if len(addrs) != 1 && len(addrs) != Nodes {
		return nil, fmt.Errorf("dial %d servers: want 1 or %d", len(addrs), Nodes)
	}
	s := &Servers{}
	for _, addr := range addrs {
		c, err := dialClient(ctx, addr, items)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.clients = append(s.clients, c)
	}
	return s, nil
}

// Round implements Cache.
func (s *Servers) Round(batches [Nodes][]uint32) (misses int, err error) {
	for i, batch := range batches {
		if err := s.client(i).sendGets(batch); err != nil {
			return 0, err
		}
	}
	for i, batch := range batches {
		s.missed[i], err = s.client(i).readGets(batch, s.missed[i][:0])
		if err != nil {
			return 0, err
		}
		misses += len(s.missed[i])
	}
	for i, missed := range s.missed {
		if err := s.client(i).sendSets(missed); err != nil {
			return 0, err
		}
	}
	for i, missed := range s.missed {
		if err := s.client(i).readSets(len(missed)); err != nil {
			return 0, err
		}
	}
	return misses, nil
}

func (s *Servers) client(batch int) *client { return s.clients[batch%len(s.clients)] }

// Errors returns how many requests were answered with a SERVER_ERROR, and the first of
// these answers.
func (s *Servers) Errors() (count int, first string) {
	for _, c := range s.clients {
		count += c.serverErrors
		if first == "" {
			first = c.firstError
		}
	}
	return count, first
}

// Close closes the connections.
func (s *Servers) Close() error {
	var errs []error
	for _, c := range s.clients {
		errs = append(errs, c.conn.Close())
	}
	return errors.Join(errs...)
}
