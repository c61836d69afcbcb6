package ctl

import (
	"bufio"
	"errors"
	"fmt"
	"strings"
)

var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// ask has the operator type a word before something is done that cannot be undone. Where
// nobody sits at a terminal it is refused: scripts say --yes.
func (c *ctl) ask(what, word string) error {
	if !isTerminal(c.Stdin) || !isTerminal(c.Stderr) {
		return fmt.Errorf("%s: there is no terminal to ask at, so nothing was changed: say --yes if that is meant", what)
	}
	if _, err := fmt.Fprintf(c.Stderr, "%s. Type %s to go on: ", what, word); err != nil {
		return err
	}
	answer, _ := bufio.NewReader(c.Stdin).ReadString('\n') // an end without a line is no answer
	if strings.TrimSpace(answer) != word {
		return errNotConfirmed
	}
	return nil
}
