package graph_test

import (
	"testing"

	"parley/server/app/apptest"
	"parley/server/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

type (
	world  = apptest.World
	client = apptest.Client
	vars   = map[string]any
)
