package main

import (
	"os"
	"strings"
	"testing"

	"parley/server/config"
)

const tableBegins, tableEnds = "<!-- config -->\n", "<!-- /config -->"

func TestReadmeHasTheTableOfTheConfiguration(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), tableBegins)
	table, _, _ := strings.Cut(rest, tableEnds)
	if want := config.Table(); strings.TrimSpace(table) != strings.TrimSpace(want) {
		t.Errorf("put this between the marks of README.md:\n%s", want)
	}
}
