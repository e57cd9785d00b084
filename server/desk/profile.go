package desk

import (
	"context"

	"github.com/google/uuid"

	"parley/ent"
	"parley/ent/chat"
	"parley/ent/contact"
	"parley/ent/event"
	"parley/ent/identity"
)

// Profile is what the provider tells of a customer; what is empty is unknown.
type Profile struct{ Name, PictureURL, Locale string }

// Unprofiled is an identity whose profile is to be read, and where.
func (d *Desk) Unprofiled(ctx context.Context, id uuid.UUID) (*ent.Identity, error) {
	return d.store.Client().Identity.Query().Where(identity.ID(id)).WithChannel().Only(ctx)
}

// SetProfile gives a contact their name and picture.
func (d *Desk) SetProfile(ctx context.Context, of *ent.Identity, p Profile) error {
	return d.write(ctx, func(c *change) error {
		query := c.Chat.Query().Where(chat.IdentityID(of.ID), isOpen)
		if c.Postgres() {
			query.ForUpdate()
		}
		open, err := query.All(ctx)
		if err != nil {
			return err
		}
		update := c.Contact.Update().Where(contact.ID(of.ContactID)).AddVersion(1)
		for text, set := range map[*string]func(string) *ent.ContactUpdate{&p.Name: update.SetName, &p.PictureURL: update.SetPictureURL, &p.Locale: update.SetLocale} {
			if *text != "" {
				set(*text)
			}
		}
		if err := update.Exec(ctx); err != nil {
			return err
		}
		for _, o := range open {
			if o, err = o.Update().AddVersion(1).Save(ctx); err != nil {
				return err
			}
			c.chatEvent(event.KindChatUpdated, o, nil, nil, map[string]string{"cause": "profile"})
		}
		return nil
	})
}
