package tuning

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tunedVariable has the test's own program tune itself, tell what it has then, and end.
const tunedVariable = "TEST_RAFTCACHED_TUNED"

func TestMain(m *testing.M) {
	if os.Getenv(tunedVariable) != "" {
		Tune()
		tellTuning()
		return
	}
	os.Exit(m.Run())
}

// tellTuning writes the process id, the slack of a new thread's timers, the signal that it is
// sent when its parent dies, and whether its environment tells that it was started again.
func tellTuning() {
	slack := make(chan int)
	go func() {
		runtime.LockOSThread() // never unlocked: not the first thread
		ns, _ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		slack <- ns
	}()
	var signal int32
	_ = unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&signal)), 0, 0, 0)
	_, told := os.LookupEnv(startedVariable)
	fmt.Println(os.Getpid(), <-slack, signal, told)
}

// TestStartAgain: a server has loose timers on all threads, whoever has started it, is the
// process that was started, and dies with its parent if that was asked for. It starts
// itself again once at most.
func TestStartAgain(t *testing.T) {
	runtime.LockOSThread() // the parent that its death is about
	defer runtime.UnlockOSThread()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		variable string
		slack    int
	}{{"", int(timerSlack)}, {startedVariable + "=1", own}} {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), tunedVariable+"=1", test.variable)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		if want := fmt.Sprintln(cmd.Process.Pid, test.slack, int(syscall.SIGKILL), false); err != nil || string(out) != want {
			t.Errorf("with %q it tells %q, %v, want %q", test.variable, out, err, want)
		}
	}
}

// TestLoosenTimers: a thread gets more slack once, and no less than it has.
func TestLoosenTimers(t *testing.T) {
	done := make(chan [3]bool)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the test's goroutine
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 50_000, 0, 0, 0)
		first, second := LoosenTimers(), LoosenTimers()
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(2*timerSlack), 0, 0, 0)
		done <- [3]bool{first, second, LoosenTimers()}
	}()
	if got := <-done; got != [3]bool{true, false, false} {
		t.Errorf("by default, then, and with more: %v", got)
	}
}
