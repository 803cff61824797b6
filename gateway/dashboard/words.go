package dashboard

import (
	"lintel/gateway/update"
	"lintel/serialbridge"
)

// What people read for a name: keys of the catalogue by the names in the API.
var (
	dropWords = map[string]string{
		"slow":        "it did not read in time",
		"queue_full":  "too much waited for it",
		"too_large":   "larger than it takes",
		"not_allowed": "it may not receive it any more",
		"damaged":     "damaged on the card",
	}
	limitWords = map[string]string{
		"packet_size":     "Packets that were too large",
		"connections":     "Too many connections",
		"connect_rate":    "Connections too fast, all together",
		"address_rate":    "Connections too fast from one address",
		"unconnected":     "Silent connections closed for newer ones",
		"connect_timeout": "Connections that never said CONNECT",
		"receive_maximum": "Clients that sent too much at a time",
		"queued_messages": "Queues with too many messages",
		"queued_bytes":    "Queues with too many bytes",
		"queued_total":    "All queues together too long",
		"subscriptions":   "Too many subscriptions of one client",
		"topic_levels":    "Topics of too many levels",
		"retained":        "Too many retained messages",
		"retained_bytes":  "Too many bytes of retained messages",
		"keep_alive":      "Clients that fell silent",
		"disk_space":      "Refused because the card is nearly full",
	}
	// Of verdicts of package checks: of the house, and of a check.
	headWords = map[string]string{
		"bad":       "Something does not work",
		"warning":   "Something needs a look",
		"notice":    "Everything works, and there is something to do one day",
		"unknown":   "All is well",
		"not there": "All is well",
		"ok":        "All is well",
	}
	verdictWords = map[string]string{
		"bad":       "broken",
		"warning":   "warning",
		"notice":    "notice",
		"unknown":   "not known yet",
		"not there": "not there",
		"ok":        "fine",
	}
	// Of what the supervisor is doing with a stick.
	stickWords = map[string]string{
		string(serialbridge.Online):    "online",
		string(serialbridge.Waiting):   "away",
		string(serialbridge.Listening): "is listened to",
		string(serialbridge.Failed):    "failed",
		string(serialbridge.Unknown):   "not recognised",
	}
	// Of what the updater is doing.
	phaseWords = map[string]string{
		string(update.Checking):    "checking",
		string(update.Downloading): "downloading",
		string(update.Writing):     "writing",
		string(update.Arming):      "reading back",
		string(update.Restarting):  "restarting",
		string(update.OnTrial):     "on trial",
		string(update.Committing):  "is kept",
	}
	// Of requests to the Zigbee network; %s is what they are about.
	actWords = map[string]string{
		"permit_join":                    "Open or close the network",
		"install_code/add":               "Add an install code",
		"networkmap":                     "Make a map",
		"energy_scan":                    "Measure the channels",
		"coordinator_check":              "Compare the stick with the list of routers",
		"channel":                        "Move to another channel",
		"restore":                        "Restore the coordinator",
		"device/rename":                  "Rename %s",
		"group/rename":                   "Rename %s",
		"device/remove":                  "Remove %s",
		"group/remove":                   "Remove %s",
		"device/interview":               "Interview %s",
		"device/configure":               "Set up %s",
		"device/bind":                    "Bind %s",
		"device/unbind":                  "Unbind %s",
		"device/reporting/configure":     "Set the reporting of %s",
		"device/command":                 "Send a command to %s",
		"group/command":                  "Send a command to %s",
		"group/add":                      "Add the group %s",
		"group/members/add":              "Put %s into a group",
		"group/members/remove":           "Take %s out of a group",
		"device/ota_update/check":        "Look for firmware for %s",
		"device/ota_update/update":       "Update %s",
		"device/ota_update/update/abort": "Give up the update of %s",
		"device/ota_update/schedule":     "Schedule an update of %s",
		"device/ota_update/unschedule":   "Take back the schedule of %s",
	}
)

// allWords are all of these.
var allWords = []map[string]string{dropWords, limitWords, headWords, verdictWords, stickWords, phaseWords, actWords}

// said puts a name into words.
func said(lang string, words map[string]string, name string) string {
	if key, ok := words[name]; ok {
		return translate(lang, key)
	}
	return name
}
