package desk

import (
	"testing"

	"parley/ent/auditentry"
	"parley/ent/operator"
	"parley/server/audit"
)

func TestWhoDoesWhatToAnAPIClientIsRecordedWithoutItsSecret(t *testing.T) {
	onDesk(t, func(b *bench) {
		by := audit.Actor{Operator: b.admin.Operator.ID}
		client, _, err := b.desk.CreateAPIClient(ctx, b.admin, NewAPIClient{Name: "Importer", Role: operator.RoleIntegrator, SecretHash: []byte("secret")})
		if err != nil {
			b.Fatal(err)
		}
		id := client.GlobalID()
		must(b.desk.UpdateAPIClient(ctx, by, APIClientChange{ID: id, Scopes: []string{"chats:read"}}))
		must(b.desk.RotateAPIClientSecret(ctx, by, id, []byte("other secret"), nil))
		must(b.desk.RevokeAPIClient(ctx, by, id))
		must(b.desk.RevokeAPIClient(ctx, by, id)) // which changes nothing
		var said []string
		text := func(s *string) string {
			if s == nil {
				return "-"
			}
			return *s
		}
		for _, e := range must(b.client().AuditEntry.Query().Where(auditentry.Subject(id.String())).Order(auditentry.ByID()).All(ctx)) {
			said = append(said, string(e.Action)+"; "+text(e.Before)+"; "+text(e.After))
			equal(b, "who", *e.OperatorID, b.admin.Operator.ID)
		}
		const none, reads = `name: "Importer", role: INTEGRATOR, scopes: `, `name: "Importer", role: INTEGRATOR, scopes: chats:read`
		for i, want := range []string{"API_CLIENT_CREATED; -; " + none, "API_CLIENT_CHANGED; " + none + "; " + reads,
			"API_CLIENT_SECRET_ROTATED; " + reads + "; " + reads, "API_CLIENT_REVOKED; " + reads + "; -"} {
			equal(b, "entry", said[i], want)
		}
		equal(b, "entries", len(said), 4)
	})
}
