package settings

import (
	"slices"
	"strings"
)

// ignoredOptions are the options of memcached's -o that have no effect here, and
// whether memcached wants a value for them.
var ignoredOptions = map[string]bool{
	"drop_privileges": false, "ext_compact_under": true, "ext_drop_under": true, "ext_drop_unread": false, "ext_io_depth": true, "ext_item_age": true,
	"ext_item_size": true, "ext_low_ttl": true, "ext_max_frag": true, "ext_max_sleep": true, "ext_page_size": true, "ext_path": true,
	"ext_recache_rate": true, "ext_threads": true, "ext_wbuf_size": true, "hash_algorithm": true, "hashpower": true,
	"hot_lru_pct": true, "hot_max_factor": true, "inline_ascii_resp": false, "lru_crawler": false, "lru_crawler_sleep": true,
	"lru_crawler_tocrawl": true, "lru_maintainer": false, "maxconns_fast": false, "modern": false, "no_chunked_items": false,
	"no_drop_privileges": false, "no_hashexpand": false, "no_inline_ascii_resp": false, "no_lru_crawler": false,
	"no_lru_maintainer": false, "no_maxconns_fast": false, "no_modern": false, "no_slab_automove": false, "no_slab_reassign": false,
	"read_buf_mem_limit": true, "relaxed_privileges": false, "resp_obj_mem_limit": false, "slab_automove": true,
	"slab_automove_freeratio": true, "slab_automove_ratio": true, "slab_automove_window": true, "slab_chunk_max": true,
	"slab_reassign": false, "ssl_kernel_tls": false, "ssl_keyformat": true, "ssl_session_cache": false, "ssl_wbuf_size": true, "slab_sizes": true, "sock_cookie_id": true, "tail_repair_time": true, "temporary_ttl": true,
	"track_sizes": false, "warm_lru_pct": true, "warm_max_factor": true, "watcher_logbuf_size": true, "worker_logbuf_size": true,
}

// refusedOptions are beginnings of options that ask for what is not there, and that
// an operator would miss.
var refusedOptions = map[string]string{
	"ssl_ciphers": "the cipher suites are those that Go takes for safe: leave it out, and set ssl_min_version=3 to leave out those of TLS 1.2",
	"proxy_":      "the server is no proxy: every server answers for all keys",
}

// applyOptions sets what memcached's -o sets: NAME=VALUE, separated by commas. The
// notes are written when there is no config yet.
func (l *Line) applyOptions(g given, config any, o Origins) error {
	for option := range strings.SplitSeq(g.text, ",") {
		name, text, _ := strings.Cut(strings.TrimSpace(option), "=")
		written := g.origin.Name + " " + name
		for prefix, why := range refusedOptions {
			if strings.HasPrefix(name, prefix) {
				return g.errorf("%s is refused: %s", written, why)
			}
		}
		i := slices.IndexFunc(Table, func(s Setting) bool { return s.Option != "" && s.Option == name })
		wantsValue, ignored := ignoredOptions[name]
		switch {
		case ignored && wantsValue && text == "":
			return g.errorf("%s needs a value: write %s=VALUE", written, name)
		case ignored && config == nil:
			l.note(written, "only memcached has this to tune")
		case ignored:
		case i < 0:
			return g.errorf("%s is %q: %q is no option of memcached: write idle_timeout=SECONDS", g.origin.Name, g.text, name)
		case config != nil:
			if err := (given{&Table[i], text, Origin{Source: g.origin.Source, Name: written}}).store(config, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// note adds a note about something without effect. Those with the same reason share
// one.
func (l *Line) note(name, why string) {
	const is, are = " is ignored: ", " are ignored: "
	for i, note := range l.notes {
		if names, found := strings.CutSuffix(note, is+why); found {
			l.notes[i] = names + ", " + name + are + why
			return
		}
		if names, found := strings.CutSuffix(note, are+why); found {
			l.notes[i] = names + ", " + name + are + why
			return
		}
	}
	l.notes = append(l.notes, name+is+why)
}
