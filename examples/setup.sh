#!/usr/bin/env bash
# Sets up a Messenger channel, machine to machine: the Facebook app's settings,
# the page, an operator, a queue, two quick replies. It says what it finds and
# makes what is missing, so that running it again changes nothing. Needs bash,
# curl and jq; docs/set-up-a-channel.md tells what goes before it.
#
# Secrets are taken from the environment and printed nowhere. They reach curl and
# jq by pipe or environment, never as arguments: all users of a machine see these.
set -euo pipefail
shopt -s inherit_errexit

usage='Set in the environment:
  PARLEY_URL                     where Parley is, such as https://chat.example.com
  PARLEY_CLIENT_ID               the API client, of role INTEGRATOR
  PARLEY_CLIENT_SECRET
  FACEBOOK_APP_ID                the Facebook app
  FACEBOOK_APP_SECRET
  FACEBOOK_WEBHOOK_VERIFY_TOKEN  any word, the same as in the dashboard of the app
  FACEBOOK_PAGE_TOKEN            a page access token of that app
  OPERATOR_EMAIL                 who answers
  OPERATOR_NAME                  needed while there is no operator of this e-mail
  OPERATOR_PASSWORD              the same; their first one, at least 10 characters
  QUEUE_NAME                     Support if empty
  CHANNEL_LANGUAGE               en if empty'

# Quick replies by name. Those that exist already stay as people have made them.
quick_replies='[
  {"name": "Greeting", "shortcut": "hello", "texts": [
    {"language": "en", "text": "Hello! How can I help you?"},
    {"language": "de", "text": "Hallo! Wie kann ich Ihnen helfen?"}]},
  {"name": "Goodbye", "shortcut": "bye", "texts": [
    {"language": "en", "text": "Thank you for writing. Have a nice day!"},
    {"language": "de", "text": "Danke für Ihre Nachricht. Einen schönen Tag noch!"}]}
]'

say() { printf '%-15s%s\n' "$1" "$2"; }

die() {
  printf '%s\n' "$1" >&2
  exit 1
}

# post WHAT PATH TYPE CURL-OPTIONS… posts its input and prints the answer, which is JSON.
post() {
  local what=$1 path=$2 type=$3 answer status
  shift 3
  answer=$(curl --silent --show-error --max-time 60 --data-binary @- --header "Content-Type: $type" \
    --write-out '\n%{http_code}' "$@" "$PARLEY_URL$path") || die "$what: $PARLEY_URL cannot be reached."
  status=${answer##*$'\n'} answer=${answer%$'\n'*}
  printf '%s' "$answer" | jq -e 'type == "object"' >/dev/null 2>&1 || die "$what: $PARLEY_URL$path answered $status, not as Parley does."
  printf '%s' "$answer"
}

# sign_in prints an access token.
sign_in() {
  local answer
  answer=$(jq -nj '@uri "grant_type=client_credentials&client_id=\($ENV.PARLEY_CLIENT_ID)&client_secret=\($ENV.PARLEY_CLIENT_SECRET)"' |
    post 'Signing in' /oauth/token application/x-www-form-urlencoded)
  printf '%s' "$answer" | jq -er '.access_token // empty' ||
    die "Signing in: $(printf '%s' "$answer" | jq -r '"\(.error): \(.error_description)"')"
}

# ask WHAT OPERATION [VARIABLES] prints the data of the answer. Any failure ends the script.
ask() {
  local what=$1 answer failures
  answer=$(printf '%s' "${3:-null}" | jq -c --arg query "$2" '{query: $query, variables: .}' |
    post "$what" /graphql application/json --config <(printf 'header = "Authorization: Bearer %s"\n' "$access_token"))
  failures=$(printf '%s' "$answer" | jq -r '
    def also(form): if . then " (" + form + ")" else "" end;
    (.errors // [] | .[] | "\(.extensions.code): \(.message)" + (.extensions.requestId | also("request \(.)"))),
    (.data // {} | .[] | objects | .userErrors // [] | .[] | "\(.code): \(.message)" + (.field | also(.)))')
  [[ -z $failures ]] || die "$what: $failures"
  printf '%s' "$answer" | jq -c .data
}

# look_up LIST FIELDS FIELD VALUE prints the first one in a list whose field has the value, or nothing.
look_up() {
  local after=null page found
  while [[ -n $after ]]; do
    page=$(ask "Looking through $1" "query (\$after: Cursor) {
      list: $1(first: 100, after: \$after) { nodes { $2 } pageInfo { hasNextPage endCursor } }
    }" "{\"after\": $after}")
    found=$(printf '%s' "$page" | jq -c --arg value "$4" "first(.list.nodes[] | select(.$3 == \$value))")
    [[ -z $found ]] || break
    after=$(printf '%s' "$page" | jq -c '.list.pageInfo | select(.hasNextPage) | .endCursor')
  done
  printf '%s' "$found"
}

# What has its value already does not change by being set again.
set_settings() {
  local before after values
  before=$(ask 'Reading the settings' '{ systemSettings { version } }' | jq .systemSettings.version)
  values=$(jq -n '{settings: [
    {code: "FacebookAppId", value: $ENV.FACEBOOK_APP_ID},
    {code: "FacebookAppSecret", value: $ENV.FACEBOOK_APP_SECRET},
    {code: "FacebookWebhookVerifyToken", value: $ENV.FACEBOOK_WEBHOOK_VERIFY_TOKEN}]}')
  after=$(ask 'Setting the settings' 'mutation ($settings: [SystemSettingInput!]!) {
    updateSystemSettings(input: {settings: $settings}) { systemSettings { version } userErrors { code field message } }
  }' "$values" | jq .updateSystemSettings.systemSettings.version)
  if ((before == after)); then say settings 'as they were'; else say settings changed; fi
}

# Goes through the check list, and ends the script while something on it is open.
check_setup() {
  local setup try
  for try in 1 2 3 4; do # other replicas have changed settings within two seconds
    setup=$(ask 'Reading the check list' '{
      channelSetup(provider: FACEBOOK_MESSENGER) { ready preconditions { code status reason } supportContact }
    }' | jq -c .channelSetup)
    if [[ $(jq .ready <<<"$setup") == true ]]; then
      say 'check list' complete
      return
    fi
    ((try == 4)) || sleep 1
  done
  die "$(jq -r '"The set-up is not complete.",
    (.preconditions[] | select(.status == "OPEN") | "  \(.code): \(.reason)"),
    (.supportContact | strings | "Ask \(.).")' <<<"$setup")"
}

# Parley finds out itself which page the token is of, and leaves a channel alone that is connected by it.
connect_page() {
  channel=$(ask 'Connecting the page' 'mutation ($token: String!) {
    connectFacebookPage(input: {pageAccessToken: $token}) {
      channel { id name externalId active queue { id } language version } userErrors { code field message }
    }
  }' "$(jq -n '{token: $ENV.FACEBOOK_PAGE_TOKEN}')" | jq -c .connectFacebookPage.channel)
  say page "$(jq -r '"\(.name) (\(.externalId)) is connected"' <<<"$channel")"
}

add_operator() {
  local found
  found=$(look_up operators 'id email' email "${OPERATOR_EMAIL,,}")
  if [[ -n $found ]]; then
    operator=$(jq -r .id <<<"$found")
    say operator "$OPERATOR_EMAIL was there"
    return
  fi
  [[ -n ${OPERATOR_NAME:-} && -n ${OPERATOR_PASSWORD:-} ]] ||
    die "There is no operator $OPERATOR_EMAIL yet: set OPERATOR_NAME and OPERATOR_PASSWORD to add them."
  operator=$(ask 'Adding the operator' 'mutation ($operator: CreateOperatorInput!) {
    createOperator(input: $operator) { operator { id } userErrors { code field message } }
  }' "$(jq -n '{operator: {role: "OPERATOR", email: $ENV.OPERATOR_EMAIL, name: $ENV.OPERATOR_NAME, password: $ENV.OPERATOR_PASSWORD}}')" |
    jq -r .createOperator.operator.id)
  say operator "$OPERATOR_EMAIL is added"
}

add_queue() {
  local found name=${QUEUE_NAME:-Support}
  found=$(look_up queues 'id name version members { id }' name "$name")
  if [[ -z $found ]]; then
    queue=$(ask 'Making the queue' 'mutation ($name: String!, $member: ID!) {
      createQueue(input: {name: $name, operatorIds: [$member]}) { queue { id } userErrors { code field message } }
    }' "$(jq -n --arg name "$name" --arg member "$operator" '$ARGS.named')" | jq -r .createQueue.queue.id)
    say queue "$name is made"
    return
  fi
  queue=$(jq -r .id <<<"$found")
  if [[ $(jq --arg member "$operator" 'any(.members[]; .id == $member)' <<<"$found") == true ]]; then
    say queue "$name was there"
    return
  fi
  ask 'Changing the queue' 'mutation ($id: ID!, $members: [ID!]!, $version: Int!) {
    updateQueue(input: {id: $id, operatorIds: $members, expectedVersion: $version}) { userErrors { code field message } }
  }' "$(jq --arg member "$operator" '{id, version, members: [.members[].id, $member]}' <<<"$found")" >/dev/null
  say queue "$name has a new member"
}

add_quick_replies() {
  local found name reply
  while read -r reply; do
    name=$(jq -r .name <<<"$reply")
    found=$(look_up quickReplies 'id name' name "$name")
    if [[ -n $found ]]; then
      say 'quick reply' "$name was there"
      continue
    fi
    ask 'Making a quick reply' 'mutation ($reply: CreateQuickReplyInput!) {
      createQuickReply(input: $reply) { quickReply { id } userErrors { code field message } }
    }' "$(jq --arg queue "$queue" '{reply: (. + {queueIds: [$queue]})}' <<<"$reply")" >/dev/null
    say 'quick reply' "$name is made"
  done < <(jq -c '.[]' <<<"$quick_replies")
}

go_live() {
  local change
  change=$(jq --arg queue "$queue" --arg language "${CHANNEL_LANGUAGE:-en}" '
    select((.active and .queue.id == $queue and (.language // "" | ascii_downcase) == ($language | ascii_downcase)) | not) |
    {input: {id, expectedVersion: .version, active: true, queueId: $queue, language: $language}}' <<<"$channel")
  if [[ -z $change ]]; then
    say channel 'was live'
    return
  fi
  ask 'Going live' 'mutation ($input: UpdateChannelInput!) {
    updateChannel(input: $input) { userErrors { code field message } }
  }' "$change" >/dev/null
  say channel 'is live'
}

for tool in curl jq; do
  command -v "$tool" >/dev/null || die "$tool is needed and not installed."
done
for name in PARLEY_URL PARLEY_CLIENT_ID PARLEY_CLIENT_SECRET FACEBOOK_APP_ID FACEBOOK_APP_SECRET \
  FACEBOOK_WEBHOOK_VERIFY_TOKEN FACEBOOK_PAGE_TOKEN OPERATOR_EMAIL; do
  [[ -n ${!name:-} ]] || die "$name is missing. $usage"
done
PARLEY_URL=${PARLEY_URL%/}

access_token=$(sign_in)
set_settings
check_setup
connect_page
add_operator
add_queue
add_quick_replies
go_live
