// Package messenger is Facebook's world as Parley sees it: webhook signatures and events, the Graph API client, the
// meaning of Facebook's errors, and the dated rules of the platform. It knows nothing of chats, queues or databases
// and imports no other package of Parley.
//
// Everything here is safe for concurrent use: functions keep no state, and a Client is only read.
//
// Invariant: what Facebook sends is never lost here. Split gives every element of a webhook post exactly once, also
// what it does not understand, and Decode refuses nothing except an event that claims to be of a known kind and lacks
// what makes it one. And no error or answer of this package carries a token or a secret.
package messenger
