//go:build ignore

package main

import (
	"log"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"
)

func main() {
	err := entc.Generate("./schema", &gen.Config{
		Features:  []gen.Feature{gen.FeatureUpsert, gen.FeatureLock, gen.FeatureModifier},
		Templates: []*gen.Template{gen.MustParse(gen.NewTemplate("globalid").Funcs(gen.Funcs).ParseDir("./schema/template"))},
	})
	if err != nil {
		log.Fatal(err)
	}
}
