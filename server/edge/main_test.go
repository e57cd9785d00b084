package edge_test

import (
	"testing"

	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
