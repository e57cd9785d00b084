// Package messengertest is a simulator of Facebook's Graph API for Messenger: an http.Handler with apps, pages and
// people, on which tests, demonstrations and scripts in any language stand instead of Facebook.
//
// It owns the state of that world and the delivery of its webhooks. A webhook is delivered per app and page, filtered
// by the fields of both layers of subscription, signed, escaped as Facebook escapes, by one worker per app and so in
// order unless Behaviour says otherwise. Everything is safe for concurrent use. Goroutines end at Close.
//
// Invariant: what the simulator accepted happened. A message that is in Sent has its echo on the way, whatever was
// answered to the caller, and Settle returns only when everything on the way has arrived or was given up. Tests wait
// by Settle and Wait, never by time.
//
//	sim := messengertest.New(messengertest.Options{})
//	defer sim.Close()
//	api := httptest.NewServer(sim)
//	app := sim.AddApp(messengertest.App{ID: "1517776481860111"})
//	page := sim.AddPage(messengertest.Page{Name: "Demo page"})
//	err := sim.SetCallback(ctx, app.ID, "http://localhost:8080/webhooks/facebook", "verify-token")
//	page.Subscribe(app.ID, messenger.SubscribedFields()...)
//	ann := page.AddPerson(messengertest.Person{FirstName: "Ann"})
//	mid := ann.Writes("Hello")
//	err = sim.Settle(ctx)
//
// # Graph API
//
// Any version prefix or none; parameters in query, form, multipart or JSON; the token as a parameter or a header:
//
//	GET  me | {page}                       id, name, category, picture, access_token
//	GET  {page}/picture                    its address
//	GET  {person}                          profile
//	POST {page}/messages                   Send API
//	GET, POST, DELETE {page}/subscribed_apps
//	GET  {page}/thread_owner               who may write in a person's thread
//	GET, POST, DELETE {app}/subscriptions
//	GET  debug_token
//	GET  {app}                             id, name: with the app's own token
//	GET, POST oauth/access_token           by code (and PKCE verifier), fb_exchange_token, client_credentials
//
// With the token of a user who logged in:
//
//	GET  me | me/accounts | me/businesses | {business}/owned_pages | {business}/client_pages
//	GET  me/permissions
//	DELETE me/permissions[/{permission}]
//	GET  {page}                            id, name, category, picture, access_token
//
// # Logging in
//
//	GET  dialog/oauth                      the consent page: a plain form for each user, which works without JavaScript
//	POST dialog/oauth                      its form, to the same address: user, page (ids, or "all"), decline (permissions),
//	                                       act ("continue" or "cancel") → 302 to redirect_uri with code and state, or error
//
// A page's token that a login gave dies with the user's token, with the user's role on the page, and when a later login
// of the same user in the same app leaves the page out. Tokens made by AddPage and NewToken are bound to nobody.
//
// # Control API
//
// JSON over HTTP under /_sim/. Failures are answered by 400 and {"error": "…"}.
//
//	POST /_sim/apps                        {"id","secret","name","require_proof","no_human_agent","redirect_uris":[],
//	                                       "configs":{"id":{"permissions":[],"system_user"}},"development","roles":[],
//	                                       "deauthorize_url","deletion_url"} → {"id","secret"}
//	POST /_sim/apps/{app}                  the same, to change some of it
//	POST /_sim/pages                       {"id","name","app_id","token"} → {"id","token"}
//	POST /_sim/pages/{page}/subscribe      {"app_id","fields":[]}: no fields means those Parley needs
//	POST /_sim/pages/{page}/restrict       {"restricted"}: it may send nothing
//	POST /_sim/users                       {"id","name","pages":[{"id","tasks":[],"portfolio","client","unlisted","no_token"}]}
//	                                       → {"id"}: also to change what they may do on pages
//	POST /_sim/users/{user}/end_sessions   {"subcode"}: their tokens, and those of pages by them, answer 190
//	POST /_sim/users/{user}/leave          {"page_id"}: their role on a page is gone
//	POST /_sim/users/{user}/revoke         {"app_id","permission"}
//	POST /_sim/users/{user}/remove_app     {"app_id"}
//	POST /_sim/users/{user}/ask_deletion   {"app_id"} → {"url","confirmation_code"}
//	POST /_sim/callback                    {"app_id","url","verify_token","fields":[]}: verified as Facebook does
//	POST /_sim/pages/{page}/people         {"id","first_name","last_name","locale","profile","app_role"} → {"id"}
//	POST /_sim/pages/{page}/people/{id}/writes    {"text","count"} → {"mids":[]}: count messages, numbered from the second
//	POST /_sim/pages/{page}/people/{id}/sends     {"message":{…}} of any shape → {"mid"}
//	POST /_sim/pages/{page}/people/{id}/taps      {"title","payload"} → {"mid"}: a postback
//	POST /_sim/pages/{page}/people/{id}/reads
//	POST /_sim/pages/{page}/people/{id}/blocks    {"blocked"}
//	POST /_sim/pages/{page}/people/{id}/held_by   {"app_id"}: an app has the thread for a day; "": nobody
//	POST /_sim/pages/{page}/people/{id}/inbox     {"text"} → {"mid"}: an answer from Facebook's inbox
//	POST /_sim/pages/{page}/posts          {"array":"messaging","items":[…]}: items exactly as given
//	POST /_sim/faults                      a Fault: {"method","path","param","times","mode","accepted","status","code","subcode",
//	                                       "message","transient","header":{"Name":["value"]}}
//	POST /_sim/tokens/kill                 {"token","subcode"}
//	POST /_sim/behaviour                   a Behaviour: {"batch","grouped","repeat","shuffle","delay_ms","hold","numeric_ids",
//	                                       "seconds","echo_first","no_receipts","auto_read"}
//	POST /_sim/clock                       {"advance_ms"} → {"now"}
//	POST /_sim/settle                      {"timeout_ms"}: 504 if it takes longer
//	POST /_sim/reset
//	GET  /_sim/log                         requests to the Graph API
//	GET  /_sim/posts                       attempts to deliver webhooks
//	GET  /_sim/sent                        accepted messages
//	GET  /_sim/picture/{id}.png            the picture of a page or person
package messengertest
