//! A request on its way: to wherever servers point, and again when it did not get through.

use std::cell::Cell;
use std::time::Duration;

use super::url::Url;
use super::{Error, Request, Response};
use crate::imports;
use crate::time::{sleep, timeout};

/// The pause before the first repetition; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// The longest pause, whatever the server asks for.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a server that answers so is likely to answer differently soon.
const PASSING: [u16; 6] = [408, 425, 429, 502, 503, 504];

impl Request {
    /// Sends it, and reads the whole answer.
    ///
    /// When the future is dropped the request is cut; the server may have done what was asked all the same.
    ///
    /// # Errors
    /// [`Error`]; an answer with a status that tells of an error is an answer.
    pub async fn send(self) -> Result<Response, Error> {
        let mut pause = PAUSE;
        for left in (0..=self.retries).rev() {
            let outcome = self.clone().attempt().await;
            let asked = match &outcome {
                Ok(answer) if PASSING.contains(&answer.status) => retry_after(answer),
                Err(Error::Failed { .. } | Error::TimedOut { .. }) => None,
                _ => return outcome,
            };
            if left == 0 || !self.can_be_repeated() {
                return outcome;
            }
            let pause_now = asked.unwrap_or(pause).clamp(pause, PAUSE_MAX);
            let said = match outcome {
                Ok(answer) => format!("{} answers {}", answer.url, answer.status),
                Err(error) => error.to_string(),
            };
            debug!("{said}; again in {pause_now:?}, {left} more times at most");
            sleep(pause_now).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        unreachable!("the last attempt returns")
    }

    /// Sends it once, within its time.
    async fn attempt(mut self) -> Result<Response, Error> {
        let limit = self.timeout;
        let at = Cell::new(String::new());
        let answer = timeout(limit, self.follow(&at)).await;
        answer.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                url: at.take(),
                timeout: limit,
            })
        })
    }

    /// Sends it to wherever the servers point. What is asked at the moment is kept in `at`.
    async fn follow(&mut self, at: &Cell<String>) -> Result<Response, Error> {
        let mut left = self.redirects;
        loop {
            at.set(self.url.clone());
            let answer = imports::exchange(self).await?;
            let target = answer
                .header("location")
                .filter(|_| matches!(answer.status, 301 | 302 | 303 | 307 | 308));
            let Some(target) = target.filter(|_| self.redirects > 0) else {
                return Ok(answer);
            };
            let target = Url::parse(&self.url)?.join(target);
            if left == 0 {
                return Err(Error::TooManyRedirects { url: target });
            }
            left -= 1;
            self.turn(answer.status, target)?;
        }
    }
}

/// The seconds that a server asks to be left alone. It may name a date as well, which nothing is made of here.
fn retry_after(answer: &Response) -> Option<Duration> {
    let seconds = answer.header("retry-after")?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use crate::http;
    use crate::testing::{Answer, Harness};

    use super::*;

    /// A server that answers so, one after the other, and 200 from then on.
    fn server(answers: Vec<Answer>) -> Harness {
        let mut answers = answers.into_iter();
        Harness::new().http(move |_| answers.next().unwrap_or(Answer::status(200)))
    }

    #[test]
    fn a_request_that_may_be_repeated_is_repeated_with_growing_pauses() {
        let test = server(vec![
            Answer::status(503),
            Answer::fails("connection reset"),
            Answer::text("late").after(Duration::from_secs(40)),
            Answer::status(429).header("retry-after", 7),
        ]);
        let request = Request::get("http://a.example").retries(9);
        let answer = test.block_on(request.send()).unwrap();
        assert_eq!((answer.status, test.requests().len()), (200, 5));
        // The pauses, and the time that the third one was given.
        let took = Duration::from_millis(500 + 1000 + 2000 + 7000) + http::TIMEOUT;
        assert_eq!(test.now(), took);
        assert!(
            test.messages()[1].contains("connection reset; again in 1s"),
            "{:?}",
            test.messages()
        );
    }

    #[test]
    fn it_is_repeated_no_more_often_than_it_says_and_then_the_last_answer_counts() {
        let test = server(vec![Answer::status(503); 9]);
        let answer = test.block_on(Request::get("http://a.example").retries(2).send());
        assert_eq!((answer.unwrap().status, test.requests().len()), (503, 3));
        let test = server(vec![Answer::fails("no route"); 9]);
        let failed = test.block_on(Request::get("http://a.example").retries(1).send());
        assert!(matches!(failed, Err(Error::Failed { .. })) && test.requests().len() == 2);
        // What is not asked for is not done.
        test.block_on(http::get("http://a.example")).unwrap_err();
        assert_eq!(test.requests().len(), 3);
    }

    #[test]
    fn what_would_be_done_twice_is_repeated_with_a_key_alone() {
        let post = || Request::post("http://a.example").body("1").retries(1);
        let test = server(vec![Answer::status(503)]);
        assert_eq!(test.block_on(post().send()).unwrap().status, 503);

        let test = server(vec![Answer::status(503)]);
        assert_eq!(
            test.block_on(post().idempotency_key("report/7").send())
                .unwrap()
                .status,
            200
        );
        let keys: Vec<_> = test
            .requests()
            .iter()
            .map(|it| it.header("Idempotency-Key").map(str::to_owned))
            .collect();
        assert_eq!(keys, vec![Some("report/7".to_owned()); 2]);
        assert_eq!(test.requests()[1].text(), "1");
    }

    #[test]
    fn what_will_not_change_is_not_repeated() {
        for answer in [Answer::status(404), Answer::status(500), Answer::refused()] {
            let test = server(vec![answer]);
            let _ = test.block_on(Request::get("http://a.example").retries(3).send());
            assert_eq!(test.requests().len(), 1);
        }
    }
}
