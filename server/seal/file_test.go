package seal_test

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"parley/server/seal"
)

func TestAllWhoMakeTheKeyFileAtOnceGetTheSameKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "secret.key")
	lists := make([]string, 16)
	var all sync.WaitGroup
	for i := range lists {
		all.Go(func() {
			list, err := seal.LoadOrCreate(path)
			if err != nil {
				t.Error(err)
			}
			lists[i] = list
		})
	}
	all.Wait()
	for _, list := range lists {
		if list != lists[0] {
			t.Fatal("two keys were made")
		}
	}
	box(t, lists[0])
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestTheKeyFileIsForItsOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no such modes")
	}
	path := filepath.Join(t.TempDir(), "secret.key")
	if _, err := seal.LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestADamagedKeyFileIsRefusedAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreate(path); err == nil {
		t.Error("accepted")
	}
	if content, _ := os.ReadFile(path); string(content) != "damaged" {
		t.Error("the file was replaced; what it sealed may be lost")
	}
}
