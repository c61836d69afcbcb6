package disk

import (
	"fmt"
	"syscall"
	"testing"
)

// TestWhatIsMissing: only the answers of a file system that lacks an operation are
// dropped, however they are wrapped.
func TestWhatIsMissing(t *testing.T) {
	for errno, missing := range map[syscall.Errno]bool{
		syscall.EINVAL: true, syscall.EOPNOTSUPP: true, syscall.ENOSYS: true,
		syscall.EIO: false, syscall.ENOSPC: false, syscall.EBADF: false, syscall.EDQUOT: false, syscall.EROFS: false,
	} {
		if err := ignoreMissing(fmt.Errorf("fallocate: %w", errno)); (err == nil) != missing {
			t.Errorf("%v is a missing feature: %v, want %v", errno, err == nil, missing)
		}
	}
}
