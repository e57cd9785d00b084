// Package messenger is Facebook's world as Parley sees it: webhook signatures and events, the Graph API client, the
// meaning of Facebook's errors, and the dated rules of the platform. It knows nothing of chats, queues or databases
// and imports no other package of Parley.
//
// Everything here is safe for concurrent use: functions keep no state, and a Client is only read.
//
// A login goes: LoginURL, then the browser comes back with a code, ExchangeCode, ExtendToken, DebugToken (is the token of
// our app, and may it do what we need?), LoginPages. ParseSignedRequest and DecodePermissions read what Facebook tells
// when people take back what they allowed.
//
// Invariant: what Facebook sends is never lost here. Split gives every element of a webhook post exactly once, also
// what it does not understand, and Decode refuses nothing except an event that claims to be of a known kind and lacks
// what makes it one. And no error of this package carries a token or a secret: tokens are only in answers whose purpose
// they are (Grant, LoginPage), and in no URL but that of debug_token.
package messenger
