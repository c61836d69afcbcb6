package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"raftcached/internal/handshake"
	"raftcached/internal/seldom"
)

// Bounds of the admin port. A request that exceeds one is refused or cut.
const (
	connsMax       = 64 // open at a time; see limited
	headerBytesMax = 16 << 10
	bodyBytesMax   = 1 << 20

	headerTimeout = 5 * time.Second // to send a request's header
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = time.Minute
	closeTimeout  = time.Second
)

// pagePaths are what the page consists of, and the stream of what it shows.
var pagePaths = []string{"/{$}", "/page.js", "/page.css", "/icon.svg", "/events"}

// Node is what the admin port shows. The methods are called from many goroutines,
// also while the node starts and stops.
type Node interface {
	// Ready returns StateOK, with a sentence if writes are refused, or another state and
	// a sentence that says why the node does not serve clients.
	Ready(ctx context.Context) (state, reason string)
	// Status returns what the node knows.
	Status(ctx context.Context) Status
	// Metrics returns what answers the scrapes of Prometheus.
	Metrics() http.Handler
	// Figures returns what it counts and measures, or nil as long as it does not serve.
	Figures() *Figures
	// Page answers GET / and what its page asks for.
	Page() http.Handler
	// HotKeys returns the keys that its clients ask for most, and Slow its last slow commands.
	HotKeys() HotKeys
	Slow() SlowCommands

	Backups
	Members
}

// Server serves the admin port of one node, or its port for probes.
type Server struct {
	node     Node
	listener net.Listener
	http     http.Server
	served   sync.WaitGroup
}

// Config is how an admin port is opened.
type Config struct {
	Addr string // host:port

	// Secret is the cluster's. Without TLS who knows it may change something from another
	// machine; without one nobody may.
	Secret []byte

	// TLS asks clients for certificates, and decides whose to believe. Then the names in
	// them say who may do what; see guard.
	TLS *tls.Config

	// Handshakes bounds the processor time of handshakes of TLS; nil: half of the processors.
	Handshakes *handshake.Port

	// Shaken, if it is set, counts them.
	Shaken *handshake.Counter

	Logger *slog.Logger
}

// OnLoopback reports whether an address is one that only its own machine reaches.
func OnLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// Listen opens the admin port and serves it until Close.
func Listen(c Config, n Node) (*Server, error) {
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the admin port: %w", err)
	}
	s := &Server{node: n, listener: l}
	l = seldom.NewListener(l, c.Logger)
	accepting := net.Listener(limit(l, connsMax))
	if c.TLS != nil {
		accepting = shakeHands(l, &c)
	}
	s.serve(accepting, newGuard(s.routes(), c.Secret, OnLoopback(c.Addr)), c.Logger)
	return s, nil
}

// ListenForProbes opens a port at host:port that answers probes as the admin port does, without
// TLS, and nothing else: who reaches it learns whether the server serves. It has connections of
// its own, so that probes are heard whatever comes at the admin port.
func ListenForProbes(addr string, n Node, logger *slog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for probes: %w", err)
	}
	s := &Server{node: n, listener: l}
	mux := http.NewServeMux()
	s.addProbes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, fmt.Sprintf("there is no %q at the port for probes: ask for /livez or /readyz", r.URL.Path))
	})
	s.serve(limit(seldom.NewListener(l, logger), connsMax), mux, logger)
	return s, nil
}

// serve answers requests until Close.
func (s *Server) serve(accepting net.Listener, handler http.Handler, logger *slog.Logger) {
	s.http = http.Server{
		Handler:           answered(limitBody(handler)),
		ConnContext:       withConn,
		MaxHeaderBytes:    headerBytesMax,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	s.served.Go(func() {
		if err := s.http.Serve(accepting); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the admin port has failed", "address", s.Addr().String(), "error", err)
		}
	})
}

// Addr is the address that is listened at.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close lets requests end, for up to closeTimeout, and closes the port. The node is
// not asked any more then.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) { // a connection that has sent no request
		err = s.http.Close()
	}
	s.served.Wait()
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	s.addProbes(mux)
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("GET /members", s.members)
	mux.HandleFunc("GET /hotkeys", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, s.node.HotKeys()) })
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, s.node.Slow()) })
	mux.Handle("GET /metrics", s.node.Metrics())
	page := s.node.Page()
	for _, path := range pagePaths {
		mux.Handle("GET "+path, page)
	}
	for _, operation := range memberOperations {
		mux.HandleFunc("POST /members/"+operation, s.operate(operation))
	}
	mux.HandleFunc("POST /backup", s.backup)
	mux.HandleFunc("POST /restore", s.restore)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusNotFound, fmt.Sprintf("there is no %q: ask for /, /livez, /readyz, /status, /members, /hotkeys, /slow or /metrics", r.URL.Path))
	})
	return mux
}

// addProbes adds what probes ask for.
func (s *Server) addProbes(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, StateOK) })
	mux.HandleFunc("GET /readyz", s.readyz)
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	state, reason := s.node.Ready(r.Context())
	if state == StateOK && r.URL.Query().Has("vote") {
		if status := s.node.Status(r.Context()); status.awaitsVote() {
			state, reason = StateCatchingUp, "it serves clients, and has no vote yet: the cluster cannot count on it"
		}
	}
	if state != StateOK {
		answer(w, http.StatusServiceUnavailable, state+": "+reason)
		return
	}
	if reason != "" {
		reason = ": " + reason
	}
	answer(w, http.StatusOK, StateOK+reason)
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	status := s.node.Status(r.Context())
	if r.URL.Query().Has("figures") {
		status.Figures = s.node.Figures()
	}
	answerJSON(w, status)
}

func answerJSON(w http.ResponseWriter, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		answer(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}

// answer writes one line of text.
func answer(w http.ResponseWriter, code int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, line+"\n") // the client may be gone
}
